"""Access to pages, and the redirect after a login: back to the page, or to the form that was sent."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar, cast
from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from accounts.models import User
from console import kept_forms

P = ParamSpec("P")
R = TypeVar("R", bound=HttpResponseBase)


class CustomerRequest(HttpRequest):
    """A request that `@customer` has accepted: its user is logged in."""

    user: User


def customer(
    view: Callable[Concatenate[CustomerRequest, P], R],
) -> Callable[Concatenate[HttpRequest, P], R]:
    """Restrict a view to logged-in customers; visitors are redirected to the login page and back."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return log_in_first(request)
        return view(cast(CustomerRequest, request), *args, **kwargs)

    return cast(Callable[Concatenate[HttpRequest, P], R], wrapper)


def log_in_first(request: HttpRequest) -> HttpResponse:
    """Redirect to the login page, and from there back to the page that the visitor was on.

    htmx would swap a redirected page into a part of the current one, so the reply to htmx is 401 with
    HX-Redirect, which loads the login page as a whole. A form sent after the session ended is offered again
    after the login (console/kept_forms.py). If it can't be kept, the login leads to the page that shows the
    form, because the address it was sent to may accept POST only; a message says that nothing was saved.
    """
    is_htmx = request.headers.get("HX-Request") == "true"
    page = request.get_full_path()
    if request.method != "GET" or is_htmx:
        page = own_page(request) or page
    if request.method != "GET":
        if not is_htmx and kept_forms.keep(request, page):
            page = reverse("resubmit")
            messages.warning(request, _("登录已过期。请登录，刚才提交的内容已保留，登录后可以继续提交。"))
        else:
            messages.warning(request, _("登录已过期，刚才提交的内容没有保存。请登录后重新提交。"))
    response: HttpResponse = redirect_to_login(page)
    if is_htmx:
        response = HttpResponse(status=401, headers={"HX-Redirect": response["Location"]})
    return response


def own_page(request: HttpRequest) -> str:
    """Return the path of the page that sent the request, or "" if it is unknown or not on this site."""
    sent_from = request.headers.get("HX-Current-URL") or request.headers.get("Referer", "")
    if not is_own_url(request, sent_from):
        return ""
    parts = urlsplit(sent_from)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def is_own_url(request: HttpRequest, url: str) -> bool:
    """Return whether `url` is on this site, so that a redirect to it is safe."""
    return url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure())


def safe_next(request: HttpRequest) -> str:
    """Return the path in the parameter `next`, or "" if it is missing or not on this site."""
    target = request.POST.get("next", request.GET.get("next", ""))
    return target if is_own_url(request, target) and target.startswith("/") else ""
