"""Register, log in and out, passwords, account settings. Logins are throttled by django-axes."""

from typing import Any

from django.conf import settings as django_settings
from django.contrib import messages
from django.contrib.auth import login, views
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters

from console import forms, tasks, throttle
from console.language import remember
from console.shell import CustomerRequest, customer, safe_next

MAIL_EXPIRES_S = 3600  # a link that comes later surprises more than it helps


@sensitive_post_parameters()
@throttle.posts("register", throttle.registration_limit)
def register(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect("console")
    form = forms.RegisterForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        user = form.save(commit=False)
        user.language = request.LANGUAGE_CODE
        user.save()
        login(request, user, backend="accounts.passwords.PasswordBackend")
        messages.success(request, _("注册成功，欢迎使用。下一步：开通人脸识别。"))
        return redirect(safe_next(request) or "console")
    return render(request, "accounts/register.html", {"form": form, "next": safe_next(request)})


@method_decorator(throttle.posts("login", throttle.login_limit), name="dispatch")
class LoginView(views.LoginView):
    template_name = "accounts/login.html"
    authentication_form = forms.LoginForm
    redirect_authenticated_user = True

    def form_valid(self, form: Any) -> HttpResponse:
        """Speaks the account's language in a browser where nothing else was chosen."""
        response = super().form_valid(form)
        if django_settings.LANGUAGE_COOKIE_NAME not in self.request.COOKIES:
            remember(response, form.get_user().language)
        return response


class PasswordChangeView(views.PasswordChangeView):
    template_name = "accounts/password_change.html"
    form_class = forms.ChangePasswordForm
    success_url = reverse_lazy("settings")

    def form_valid(self, form: Any) -> HttpResponse:
        messages.success(self.request, _("密码已修改。"))
        return super().form_valid(form)


@method_decorator(throttle.posts("reset", throttle.reset_limit), name="dispatch")
class PasswordResetView(views.PasswordResetView):
    template_name = "accounts/password_reset.html"
    form_class = forms.ResetPasswordForm
    success_url = reverse_lazy("password_reset_sent")

    def form_valid(self, form: Any) -> HttpResponse:
        """Queue the mail. The address is looked up in the background, so that the time of the reply does not
        depend on whether somebody has it. Past the throttle nothing is sent, and the page is the same.
        """
        email = form.cleaned_data["email"]
        if throttle.may_mail(self.request, email):
            arguments = (email, get_language())
            tasks.send_password_reset.apply_async(arguments, retry=False, expires=MAIL_EXPIRES_S)
        return redirect(self.get_success_url())


@method_decorator(throttle.posts("reset", throttle.reset_limit), name="dispatch")
class PasswordResetConfirmView(views.PasswordResetConfirmView):
    template_name = "accounts/password_reset_confirm.html"
    form_class = forms.NewPasswordForm
    success_url = reverse_lazy("login")

    def form_valid(self, form: Any) -> HttpResponse:
        messages.success(self.request, _("密码已重设，请用新密码登录。"))
        return super().form_valid(form)


@sensitive_post_parameters("password")
@customer
def settings(request: CustomerRequest) -> HttpResponse:
    form = forms.SettingsForm(request, request.POST or None, instance=request.user)
    if request.method == "POST":
        if form.is_valid():
            form.save()
            messages.success(request, _("账号设置已保存。"))
            response = redirect("settings")
            remember(response, request.user.language)
            return response
        request.user.refresh_from_db()
    return render(request, "console/settings.html", {"form": form, "nav": "settings"})
