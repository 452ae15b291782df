"""The forms of the console, with messages for the rules of accounts and billing."""

from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.contrib.auth import authenticate
from django.contrib.auth.forms import (
    AuthenticationForm,
    PasswordChangeForm,
    SetPasswordForm,
    UserCreationForm,
)
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from accounts import names
from accounts.errors import RuleError
from accounts.models import Invitation, User
from accounts.users import addresses, invitations, usernames
from console.middleware import throttle

# The manual's sentences (3.1.2), shown as hint and as error.
NAME_RULE = _("应用名称长度 1-16 个字符或汉字，不能有 ~!@#¥%^&* 特殊字符")
DESCRIPTION_RULE = _("应用描述长度 1-28 个字符或汉字，不能有 ~!@#¥%^&* 特殊字符")
RULES = {"name": NAME_RULE, "description": DESCRIPTION_RULE}
USERNAME_RULE = _("用户名为 3-30 个汉字、英文字母、数字、下划线、点或短横线。")
USERNAME_TAKEN = _("该用户名已被使用，或与已有的用户名过于相似，请换一个。")
LONGEST_LOGIN = 254  # the longest e-mail address, and so the longest login
PASSWORD_RULE = _("至少 10 个字符，不能全是数字，不能是常见或泄露过的密码，不能与用户名或邮箱太相似。")


class RuledText(forms.CharField):
    """A text validated by a rule of accounts.names; the browser gets the same pattern and message."""

    def __init__(self, *, field: str, limit: int, pattern: str, **kwargs: Any) -> None:
        widget = forms.TextInput(
            attrs={
                "data-name-rule": limit,
                "data-name-pattern": pattern,
                "data-name-message": RULES[field],
                "autocomplete": "off",
            }
        )
        messages = {"required": RULES[field]}
        super().__init__(widget=widget, help_text=RULES[field], error_messages=messages, **kwargs)
        self.rule = names.check_app_name if field == "name" else names.check_app_description
        self.message = RULES[field]

    def clean(self, value: Any) -> str:
        text = str(super().clean(value))
        try:
            return self.rule(text)
        except RuleError as error:
            raise ValidationError(self.message, code=error.code) from error


def name_field(**kwargs: Any) -> RuledText:
    return RuledText(
        field="name", limit=names.NAME_LENGTH, pattern=names.NAME_PATTERN, label=_("应用名称"), **kwargs
    )


def description_field(**kwargs: Any) -> RuledText:
    return RuledText(
        field="description",
        limit=names.DESCRIPTION_LENGTH,
        pattern=names.DESCRIPTION_PATTERN,
        label=_("应用描述"),
        **kwargs,
    )


class AppForm(forms.Form):
    """Rename an App."""

    name = name_field()
    description = description_field()


# --- Customers -------------------------------------------------------------------------


def check_mailable(email: str) -> str:
    """Return the address. Raises ValidationError if mail cannot be sent to it (users/addresses.py)."""
    if not addresses.is_mailable(email):
        raise ValidationError(_("邮件系统无法使用这个邮箱地址，请检查输入或换一个邮箱。"), code="unmailable")
    return email


class RegisterForm(UserCreationForm):
    """A new account. The page does not reveal whether the e-mail address is already registered."""

    field_order = ["username", "email", "password1", "password2", "company"]

    class Meta:
        model = User
        fields = ["username", "email", "company"]
        # Checked after clean_username, so it is seen only if the name was registered in between.
        error_messages: ClassVar = {"username": {"unique": USERNAME_TAKEN}}

    def __init__(self, *args: Any, invitation: Invitation | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.invitation = invitation
        username = self.fields["username"]
        username.label, username.help_text = (
            _("用户名"),
            _("3-30 个汉字、英文字母、数字、下划线、点或短横线，用于登录。"),
        )
        username.validators = [RegexValidator(rf"^{usernames.PATTERN.pattern}\Z", USERNAME_RULE)]
        username.widget.attrs |= {"autocomplete": "username", "maxlength": 30}
        email = self.fields["email"]
        email.help_text = _("用于接收通知和找回密码；验证后也可以用来登录。")
        email.widget.attrs["autocomplete"] = "email"
        if invitation:
            email.initial, email.disabled = invitation.email, True
            email.help_text = _("受邀的邮箱，不能修改。")
        self.fields["company"].label = _("公司（选填）")
        self.fields["company"].widget.attrs["autocomplete"] = "organization"
        self.fields["password1"].label = _("密码")
        self.fields["password1"].help_text = PASSWORD_RULE
        self.fields["password2"].label = _("确认密码")
        self.fields["password2"].help_text = ""

    def clean_username(self) -> str:
        """Reject reserved names and names that look like existing ones."""
        name = str(self.cleaned_data["username"])
        like = User.objects.filter(Q(username__iexact=name) | Q(name_skeleton=usernames.skeleton(name)))
        if usernames.is_reserved(name) or like.exists():
            raise ValidationError(USERNAME_TAKEN, code="taken")
        return name

    def clean_email(self) -> str:
        return check_mailable(str(self.cleaned_data["email"]))

    def register(self, language: str, at: datetime) -> User | None:
        """Create the account and accept the invitation.

        Returns None, with the error in the form, if a concurrent registration came first.
        """
        user = self.save(commit=False)
        user.language = language
        try:
            with transaction.atomic():
                user.save()
                if self.invitation:
                    invitations.accept(self.invitation, user, at)
        except IntegrityError:
            self.add_error("username", ValidationError(USERNAME_TAKEN, code="taken"))
        except RuleError:
            self.add_error(None, ValidationError(_("该邀请已被使用或已失效，请联系管理员。"), code="used"))
        else:
            return user
        return None


class LoginForm(AuthenticationForm):
    error_messages = {
        "invalid_login": _("用户名或密码不正确，请重新输入。密码区分大小写。"),
        "inactive": _("该账号已停用，请联系管理员。"),
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = _("用户名或邮箱")
        self.fields["password"].label = _("密码")

    def confirm_login_allowed(self, user: Any) -> None:
        """Reject a disabled account.

        Called only after the password was verified, so that others do not learn of the account.
        """
        if not user.is_active:
            raise ValidationError(self.error_messages["inactive"], code="inactive")

    def clean_username(self) -> str:
        name = str(self.cleaned_data["username"])
        if len(name) > LONGEST_LOGIN:
            raise self.get_invalid_login_error()
        if "@" not in name or self.request is None:
            return name
        throttle.count_as(self.request, name)
        owner = addresses.owner_of(name)
        return owner.username if owner else name


class ChangePasswordForm(PasswordChangeForm):
    error_messages = {
        **PasswordChangeForm.error_messages,
        "password_incorrect": _("当前密码不正确，请重新输入。"),
    }

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request
        self.verified = ""  # the hash of the current password, once it was verified
        self.fields["old_password"].label = _("当前密码")
        label_new_passwords(self)

    @sensitive_variables()
    def clean_old_password(self) -> str:
        """Verify the password like a login, so that wrong ones are counted and lock."""
        password = str(self.cleaned_data["old_password"])
        found = authenticate(self.request, username=self.user.get_username(), password=password)
        if found is None:
            raise ValidationError(self.error_messages["password_incorrect"], code="password_incorrect")
        self.verified = found.password
        return password


class NewPasswordForm(SetPasswordForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        label_new_passwords(self)


def label_new_passwords(form: forms.Form) -> None:
    form.fields["new_password1"].label = _("新密码")
    form.fields["new_password1"].help_text = PASSWORD_RULE
    form.fields["new_password2"].label = _("确认新密码")
    form.fields["new_password2"].help_text = ""


class ResetPasswordForm(forms.Form):
    """The address to which links are mailed that set a new password (console/mail/mails.py)."""

    email = forms.EmailField(
        label=_("注册邮箱"),
        max_length=addresses.LONGEST,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )


class SettingsForm(forms.ModelForm):
    """Account settings. A new e-mail address needs the password and a verification by mail."""

    field_order = ("email", "password")
    email = forms.EmailField(
        label=_("邮箱"),
        max_length=addresses.LONGEST,
        help_text=_("用于接收通知和找回密码；验证后也可以用来登录。"),
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    password = forms.CharField(
        label=_("登录密码"),
        required=False,
        strip=False,
        help_text=_("仅修改邮箱时需要填写。"),
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    class Meta:
        model = User
        fields = ["company", "phone", "language"]

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request
        self.initial["email"] = self.instance.email
        self.fields["company"].widget.attrs["autocomplete"] = "organization"
        self.fields["phone"].widget.attrs |= {"autocomplete": "tel", "type": "tel"}

    @property
    def new_email(self) -> str:
        """The new address; empty if it is unchanged."""
        return str(self.cleaned_data["email"]) if "email" in self.changed_data else ""

    def clean_email(self) -> str:
        return check_mailable(str(self.cleaned_data["email"]))

    @sensitive_variables()
    def clean_password(self) -> str:
        password = str(self.cleaned_data["password"])
        name = self.instance.username
        if "email" in self.changed_data and not authenticate(self.request, username=name, password=password):
            raise ValidationError(_("密码不正确，请重新输入。多次输错会暂时锁定。"), code="wrong")
        return password
