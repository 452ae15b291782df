"""The context of every page's layout: the regions and the chosen one, the theme, unread notices."""

from dataclasses import dataclass
from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts.models import Region
from billing import notices

REGION_COOKIE = "region"
THEME_COOKIE = "theme"
THEMES = ("light", "dark")


@dataclass(frozen=True)
class RegionChoice:
    """A region in the reader's language."""

    pk: int
    code: str
    label: str


def regions(request: HttpRequest) -> list[RegionChoice]:
    """Return the open regions in their order; read once per request."""
    notes = vars(request)
    if "console_regions" not in notes:
        notes["console_regions"] = [
            RegionChoice(one.pk, one.code, str(one)) for one in Region.objects.filter(is_active=True)
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
    """Return the context of the layout. Regions and notices are read only if the page uses them."""
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
