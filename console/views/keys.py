"""AppKey and SecretKey of an App: show a secret (after the password), rotate with an overlap, disable.

A secret is shown once, on the next page. The session contains the id of the key for REVEAL_WITHIN, never the
secret, and the first page that shows the secret removes the id.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django import forms
from django.contrib import messages
from django.contrib.auth import authenticate
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from accounts import audit
from accounts import keys as key_rules
from accounts.errors import RuleError
from accounts.models import App, AppKey
from common.client_address import client_address
from common.postgresql.clock import now
from console.access import CustomerRequest, customer
from console.error_messages import sentence
from console.mail import mails, news
from console.ownership import own_app

OVERLAPS = {
    "86400": gettext_lazy("24 小时"),
    "604800": gettext_lazy("7 天"),
    "3600": gettext_lazy("1 小时"),
    "0": gettext_lazy("立即失效"),
}


REVEALED = "revealed_key"  # in the session: a key's id and the time in seconds
REVEAL_WITHIN = timedelta(minutes=2)


@dataclass(frozen=True)
class Revealed:
    """A key with its secret, for one page. `is_new`: it was just created, so no password was needed."""

    key: str
    secret: str = field(repr=False)
    is_new: bool


def reveal_next(request: CustomerRequest, key: AppKey, *, is_new: bool) -> None:
    """Allow the next page of the key's App to show its secret."""
    request.session[REVEALED] = [key.pk, int(now().timestamp()), is_new]


@sensitive_variables()
def revealed(request: CustomerRequest, app: App) -> Revealed | None:
    """Return the App's key that this page may show once; None if there is none or it is too late."""
    pk, at_s, is_new = request.session.get(REVEALED, (None, 0, False))
    key = app.keys.filter(pk=pk).first() if pk else None
    if key is None:
        return None
    del request.session[REVEALED]
    if now().timestamp() - at_s > REVEAL_WITHIN.total_seconds():
        return None
    return Revealed(key.key, key_rules.secret_of(key), is_new)


class PasswordForm(forms.Form):
    """Ask for the password again; wrong passwords count towards the lock of the login."""

    password = forms.CharField(
        label=gettext_lazy("登录密码"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        error_messages={"required": gettext_lazy("请输入登录密码。")},
    )

    def __init__(self, request: CustomerRequest, prefix: str) -> None:
        super().__init__(request.POST, auto_id=f"id_{prefix}_%s")
        self.request = request

    @sensitive_variables()
    def clean_password(self) -> str:
        password = str(self.cleaned_data["password"])
        if authenticate(self.request, username=self.request.user.username, password=password) is None:
            raise forms.ValidationError(_("密码不正确，请重新输入。多次输错会暂时锁定。"), code="wrong")
        return password


@sensitive_post_parameters("password")
@never_cache
@customer
def keys(request: CustomerRequest, app_id: str) -> HttpResponse:
    app = own_app(request, app_id)
    if request.method == "POST":
        act = {"show": show, "rotate": rotate, "disable": disable}.get(request.POST.get("act", ""))
        if act:
            return act(request, app)
    return page(request, app)


def page(request: CustomerRequest, app: App, status: int = 200, **more: object) -> HttpResponse:
    at = now()
    live = set(key_rules.live(at).filter(app=app).values_list("pk", flat=True))
    rows = [(key, key.pk in live) for key in app.keys.all()]
    rows.sort(key=lambda row: not row[1])
    context = {
        "app": app,
        "keys": rows,
        "live": len(live),
        "revealed": revealed(request, app) if status == 200 else None,
        "overlaps": OVERLAPS.items(),
        "nav": "apps",
        "tab": "keys",
        **more,
    }
    return render(request, "console/apps/keys.html", context, status=status)


def own_key(request: CustomerRequest, app: App) -> AppKey:
    return get_object_or_404(app.keys, key=request.POST.get("key", ""))


def record(request: CustomerRequest, act: str, key: AppKey, at: datetime) -> None:
    """Write the act on the key to the audit log."""
    details = {"key": key.key, "app": key.app.app_id}
    audit.record_own(act, key, by=request.user, at=at, address=client_address(request.META), details=details)


def show(request: CustomerRequest, app: App) -> HttpResponse:
    key = own_key(request, app)
    form = PasswordForm(request, key.key)
    if not form.is_valid():
        return page(request, app, status=422, form=form, asked=key.key)
    record(request, "own-key-show", key, now())
    reveal_next(request, key, is_new=False)
    news.queue(mails.KEY_SHOWN, request.user)
    return redirect("app_keys", app.app_id)


def rotate(request: CustomerRequest, app: App) -> HttpResponse:
    form = PasswordForm(request, "rotate")
    overlap = request.POST.get("overlap", "")
    if overlap not in OVERLAPS or not form.is_valid():
        return page(request, app, status=422, form=form, asked="rotate", overlap=overlap)
    with transaction.atomic():
        at = now()
        key = key_rules.rotate(app, at, timedelta(seconds=int(overlap)))
        record(request, "own-key-rotate", key, at)
    reveal_next(request, key, is_new=True)
    news.queue(mails.KEY_ROTATED, request.user)
    messages.success(request, _("已生成新密钥 %(key)s，请尽快更新您的程序。") % {"key": key.key})
    return redirect("app_keys", app.app_id)


def disable(request: CustomerRequest, app: App) -> HttpResponse:
    key = own_key(request, app)
    form = PasswordForm(request, f"disable_{key.key}")
    if not form.is_valid():
        return page(request, app, status=422, form=form, asked=f"disable_{key.key}")
    try:
        with transaction.atomic():
            at = now()
            key_rules.disable(key, at)
            record(request, "own-key-disable", key, at)
        messages.success(request, _("密钥 %(key)s 已停用，使用它的调用从现在起被拒绝。") % {"key": key.key})
    except RuleError as error:
        messages.error(request, sentence(error))
    return redirect("app_keys", app.app_id)
