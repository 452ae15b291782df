"""What every page's frame shows: the regions and the chosen one, the theme, unread notices."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import translation
from django.utils.functional import SimpleLazyObject
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from accounts import keys
from accounts.models import App, AppKey, Region, User
from billing import notices
from console import kept_forms

REGION_COOKIE = "region"
THEME_COOKIE = "theme"
THEMES = ("light", "dark")
P = ParamSpec("P")
R = TypeVar("R", bound=HttpResponseBase)


class CustomerRequest(HttpRequest):
    """A request that `@customer` has let through: its user is logged in."""

    user: User


def customer(
    view: Callable[Concatenate[CustomerRequest, P], R],
) -> Callable[Concatenate[HttpRequest, P], R]:
    """For pages of a logged-in customer; others are sent to the login page and back."""

    @wraps(view)
    def seen(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return log_in_first(request)
        return view(cast(CustomerRequest, request), *args, **kwargs)

    return cast(Callable[Concatenate[HttpRequest, P], R], seen)


def log_in_first(request: HttpRequest) -> HttpResponse:
    """Redirect to the login page, and from there back to the page that the visitor was on.

    htmx would swap a redirected page into a part of the current one, so it gets 401 with HX-Redirect, which
    loads the login page as a whole. A form sent after the session ended is offered again after the login
    (console/kept_forms.py). If it can't be kept, the login leads to the page of that form, with a message
    that nothing was saved: its own address may accept POST only.
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
    """Whether `url` is on this site, so that a redirect to it is safe."""
    return url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure())


def safe_next(request: HttpRequest) -> str:
    """Return the path in the parameter `next`, or "" if it is missing or not on this site."""
    target = request.POST.get("next", request.GET.get("next", ""))
    return target if is_own_url(request, target) and target.startswith("/") else ""


def own_app(request: CustomerRequest, app_id: str) -> App:
    """Return the customer's App of that id. Raises Http404 for another customer's, as if it did not exist."""
    return get_object_or_404(own_apps(request), app_id=app_id)


def own_apps(request: CustomerRequest) -> QuerySet[App]:
    """Return the customer's Apps, newest first."""
    return request.user.apps.select_related("region")


def apps_in_use(request: CustomerRequest) -> QuerySet[App]:
    """Those that are not archived."""
    return own_apps(request).filter(archived_at=None)


def newest_key(app: App, at: datetime) -> AppKey | None:
    """Return the newest live key of the App; None if all have ended."""
    return keys.live(at).filter(app=app).order_by("-created_at", "-pk").first()


@dataclass(frozen=True)
class RegionChoice:
    """A region in the reader's language."""

    pk: int
    code: str
    label: str


def region_label(region: Region) -> str:
    """上海6 in Chinese, its English name in English."""
    return region.name_en if translation.get_language() == "en" and region.name_en else region.name


def regions(request: HttpRequest) -> list[RegionChoice]:
    """Return the open regions in their order; read once per request."""
    notes = vars(request)
    if "console_regions" not in notes:
        notes["console_regions"] = [
            RegionChoice(one.pk, one.code, region_label(one)) for one in Region.objects.filter(is_active=True)
        ]
    return cast(list[RegionChoice], notes["console_regions"])


def current_region(request: HttpRequest) -> RegionChoice | None:
    """Return the region chosen at the top right, or the first; None if the catalogue has none."""
    choices = regions(request)
    code = request.COOKIES.get(REGION_COOKIE)
    return next((one for one in choices if one.code == code), choices[0] if choices else None)


def chosen_theme(request: HttpRequest) -> str:
    """Return light or dark; "" if the system decides."""
    theme = request.COOKIES.get(THEME_COOKIE, "")
    return theme if theme in THEMES else ""


def shell(request: HttpRequest) -> dict[str, Any]:
    """Context processor; each value is computed only by a page that shows it."""
    context: dict[str, Any] = {
        "theme": chosen_theme(request),
        "registration": settings.REGISTRATION,
        "support_contact": settings.SUPPORT_CONTACT,
    }
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        context["regions"] = SimpleLazyObject(lambda: regions(request))
        context["region"] = SimpleLazyObject(lambda: current_region(request))
        context["unread"] = SimpleLazyObject(lambda: notices.unread_count(user))
    return context
