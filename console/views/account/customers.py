"""Register, log in and out, passwords, account settings. Logins are throttled by django-axes."""

from contextlib import suppress
from typing import Any

from django.conf import settings as django_settings
from django.contrib import messages
from django.contrib.auth import login, views
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST
from django.views.generic import FormView

from accounts import audit, keys
from accounts.errors import RuleError
from accounts.models import User
from accounts.users import addresses, invitations
from common.client_address import client_address
from common.postgresql.clock import now
from console import forms, tasks
from console.access import CustomerRequest, customer, safe_next
from console.mail import mails, news
from console.middleware import throttle
from console.middleware.language import remember

KEYS_DISABLED = gettext_lazy(
    "邮箱首次验证，该账号原有的 %(count)s 个密钥已停用：注册时邮箱未经验证，密钥可能在他人手中。"
    "请登录后为应用换新密钥。"
)
MANY_MAILS = gettext_lazy("最近发送的邮件过多，请一小时后再试。")


@sensitive_post_parameters()
@throttle.posts("register", throttle.registration_limit)
def register(request: HttpRequest) -> HttpResponse:
    """Register an account. settings.REGISTRATION opens it to anyone, to invited people, or to no one.

    The reply is the same whether or not another account has the address; only its mailbox is notified.
    """
    if request.user.is_authenticated:
        return redirect("console")
    at = now()
    token = request.POST.get("invitation", request.GET.get("invitation", ""))
    invitation = invitations.find(token, at) if token else None
    allowed = {"open": True, "invited": invitation is not None, "closed": False}
    if not allowed[django_settings.REGISTRATION]:
        context = {"mode": django_settings.REGISTRATION, "was_invited": bool(token)}
        return render(request, "accounts/register_closed.html", context, status=403)
    form = forms.RegisterForm(request.POST or None, invitation=invitation)
    if request.method == "POST" and form.is_valid():
        user = form.register(str(request.LANGUAGE_CODE), at)
        if user:
            if throttle.may_mail(request, user.email):
                mails.queue(tasks.send_link, user.pk)
            login(request, user, backend="accounts.users.passwords.PasswordBackend")
            messages.success(request, _("注册成功，欢迎使用。下一步：开通人脸识别。"))
            return redirect(safe_next(request) or "console")
    context = {"form": form, "next": safe_next(request), "invitation": token if invitation else ""}
    return render(request, "accounts/register.html", context)


@method_decorator(throttle.posts("login", throttle.login_limit), name="dispatch")
class LoginView(views.LoginView):
    template_name = "accounts/login.html"
    authentication_form = forms.LoginForm
    redirect_authenticated_user = True

    def form_valid(self, form: Any) -> HttpResponse:
        """Log in, and use the account's language if none was chosen in the browser."""
        response = super().form_valid(form)
        if django_settings.LANGUAGE_COOKIE_NAME not in self.request.COOKIES:
            remember(response, form.get_user().language)
        return response


class PasswordChangeView(views.PasswordChangeView):
    template_name = "accounts/password_change.html"
    form_class = forms.ChangePasswordForm
    success_url = reverse_lazy("settings")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request}

    @transaction.atomic
    def form_valid(self, form: Any) -> HttpResponse:
        """Set the password, unless it was changed or reset since the current one was verified."""
        stored = User.objects.select_for_update(no_key=True).get(pk=form.user.pk)
        if stored.password != form.verified:
            form.add_error("old_password", form.error_messages["password_incorrect"])
            return self.form_invalid(form)
        messages.success(self.request, _("密码已修改。"))
        response = super().form_valid(form)
        record(self.request, "own-password", form.user)
        news.queue(mails.PASSWORD_CHANGED, form.user)
        return response


@method_decorator(throttle.posts("reset", throttle.reset_limit), name="dispatch")
class PasswordResetView(FormView):
    template_name = "accounts/password_reset.html"
    form_class = forms.ResetPasswordForm
    success_url = reverse_lazy("password_reset_sent")

    def form_valid(self, form: Any) -> HttpResponse:
        """Queue the mail, and show the same page in any case.

        The address is looked up in the background, so that the time of the reply does not depend on whether
        an account has it. Above the throttle nothing is sent.
        """
        email = form.cleaned_data["email"]
        if throttle.may_mail(self.request, email):
            arguments = (email, get_language())
            tasks.send_password_reset.apply_async(arguments, retry=False, expires=mails.EXPIRES_S)
        return redirect(self.get_success_url())


@method_decorator(throttle.posts("reset", throttle.reset_limit), name="dispatch")
class PasswordResetConfirmView(views.PasswordResetConfirmView):
    template_name = "accounts/password_reset_confirm.html"
    form_class = forms.NewPasswordForm
    success_url = reverse_lazy("login")

    def get_user(self, uidb64: str) -> User | None:
        """Return the account of the link; None if it was closed."""
        user: User | None = super().get_user(uidb64)
        return user if user is not None and user.is_active else None

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = self.user if self.validlink else None
        disables = user is not None and not user.email_verified_at and keys.has_live(user, now())
        return super().get_context_data(**kwargs) | {"account": user, "disables_keys": disables}

    @transaction.atomic
    def form_valid(self, form: Any) -> HttpResponse:
        """Set the password; the address counts as verified, because the link was opened from its mailbox.

        If it was not verified before, someone else may have registered the account and kept its keys, so they
        are disabled.
        """
        user, at = form.user, now()
        is_first_proof = not user.email_verified_at
        messages.success(self.request, _("密码已重设，请用新密码登录。"))
        response = super().form_valid(form)
        with suppress(RuleError):  # another account has verified the address meanwhile
            addresses.mark_verified(user, user.email, at)
        count = keys.disable_all(user, at) if is_first_proof else 0
        if count:
            messages.warning(self.request, KEYS_DISABLED % {"count": count})
        record(self.request, "own-password-reset", user, disabled_keys=count)
        news.queue(mails.PASSWORD_CHANGED, user)
        return response


def record(request: HttpRequest, act: str, user: User, **details: object) -> None:
    """Write the act on the user's own account to the audit log. Details name no e-mail address."""
    address = client_address(request.META)
    audit.record_own(act, user, by=user, at=now(), address=address, details=details)


@sensitive_post_parameters("password")
@customer
def settings(request: CustomerRequest) -> HttpResponse:
    form = forms.SettingsForm(request, request.POST or None, instance=request.user)
    if request.method == "POST":
        if form.is_valid() and (not form.new_email or change_address(request, form)):
            form.save()
            messages.success(request, _("账号设置已保存。"))
            response = redirect("settings")
            remember(response, request.user.language)
            return response
        request.user.refresh_from_db()
    return render(request, "console/account/settings.html", {"form": form, "nav": "settings"})


def change_address(request: CustomerRequest, form: forms.SettingsForm) -> bool:
    """Store the new address and mail a link to it; above the throttle, add an error and return False."""
    if not throttle.may_mail(request, form.new_email):
        form.add_error("email", str(MANY_MAILS))
        return False
    user = request.user
    news.queue(mails.ADDRESS_ASKED, user)
    with transaction.atomic():
        addresses.change(user, form.new_email)
        record(request, "own-email-ask", user)
    mails.queue(tasks.send_link, user.pk)
    messages.info(request, _("验证链接已发送到 %(address)s，打开链接后生效。") % {"address": form.new_email})
    return True


@require_POST
@customer
def resend(request: CustomerRequest) -> HttpResponse:
    """Mail the link again."""
    address = addresses.to_confirm(request.user)
    if address and not throttle.may_mail(request, address):
        messages.error(request, MANY_MAILS)
    elif address:
        mails.queue(tasks.send_link, request.user.pk)
        messages.success(request, _("验证链接已发送到 %(address)s，打开链接后生效。") % {"address": address})
    return redirect(safe_next(request) or "settings")


@require_http_methods(["GET", "POST"])
@customer
def confirm_address(request: CustomerRequest) -> HttpResponse:
    """Show the page of the mailed link. Only a POST verifies, because mail scanners open links too."""
    token = request.POST.get("token", request.GET.get("token", ""))
    user, address = request.user, ""
    try:
        address = addresses.address_in(token, user)
        if request.method == "POST":
            with transaction.atomic():
                before = addresses.confirm(user, token, now())
                record(request, "own-email", user)
            if before:
                mails.queue(tasks.send_news, mails.ADDRESS_CHANGED, user.pk, before)
            messages.success(request, _("邮箱 %(address)s 已验证。") % {"address": address})
            return redirect("settings")
    except RuleError as error:
        context = {"why": error.code, "user": user}
        return render(request, "accounts/email_confirm.html", context, status=410)
    return render(request, "accounts/email_confirm.html", {"token": token, "address": address})
