"""Time limits of sessions, and Cache-Control of pages.

A session ends after some time without a request, and always some hours after the login; both times are
shorter for operators (settings.SESSION_*, OPERATOR_SESSION_*). The times are kept in the session itself.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from accounts.models import User
from common.postgresql.clock import now
from console import kept_forms

STARTED, SEEN = "started_s", "seen_s"
SEEN_EVERY_S = 60  # the time of the last request is written at most this often

GetResponse = Callable[[HttpRequest], HttpResponse]


@receiver(user_logged_in)
def start(request: HttpRequest, **_: Any) -> None:
    """Record the time of the login, because `login` may reuse an existing session."""
    now_s = int(now().timestamp())
    request.session[STARTED], request.session[SEEN] = now_s, now_s
    request.session.set_expiry(None)  # a session with a kept form is shorter


def limits(user: User) -> tuple[timedelta, timedelta]:
    """Return the idle time limit and the total time limit of the user's sessions."""
    if user.is_staff:
        idle_minutes, hours = settings.OPERATOR_SESSION_IDLE_MINUTES, settings.OPERATOR_SESSION_HOURS
    else:
        idle_minutes, hours = settings.SESSION_IDLE_MINUTES, settings.SESSION_HOURS
    return timedelta(minutes=idle_minutes), timedelta(hours=hours)


class SessionLimitMiddleware:
    """Logs out a user whose session has exceeded one of its time limits.

    The request then goes on as a visitor's. Pages that refresh themselves do not count as activity.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.SESSION_COOKIE_NAME in request.COOKIES and isinstance(request.user, User):
            self._check(request, request.user)
        return self.get_response(request)

    def _check(self, request: HttpRequest, user: User) -> None:
        now_s = int(now().timestamp())
        started_s = request.session.setdefault(STARTED, now_s)
        seen_s = request.session.setdefault(SEEN, now_s)
        idle, lasting = limits(user)
        if now_s - seen_s > idle.total_seconds() or now_s - started_s > lasting.total_seconds():
            logout(request)
            setattr(request, kept_forms.ENDED_USER, user.pk)
        elif now_s - seen_s >= SEEN_EVERY_S and not refreshes_itself(request):
            request.session[SEEN] = now_s


def refreshes_itself(request: HttpRequest) -> bool:
    """Return whether a page sent the request by a timer, without an action of the user."""
    return "HX-Request" in request.headers and request.path == reverse("ops_live")


class NoStoreMiddleware:
    """Forbids browsers and proxies to store pages of logged-in users and pages that ask for a password."""

    PRIVATE = ("/console/", "/ops/", "/admin/", "/login/", "/register/", "/password/")

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        was_read = request.session.accessed and request.user.is_authenticated
        if (was_read or request.path.startswith(self.PRIVATE)) and "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-store"
        return response
