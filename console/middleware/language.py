"""Chinese by default, English by the switch: the reader's choice is kept in a cookie.

The browser's Accept-Language is not asked: the product speaks Chinese until someone chooses otherwise.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation

YEAR_S = 365 * 24 * 3600


def supported(code: str | None) -> str | None:
    """`code` if the product speaks it."""
    return code if code in dict(settings.LANGUAGES) else None


class LanguageMiddleware:
    """Speaks the cookie's language for the time of one request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        language = supported(request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME)) or settings.LANGUAGE_CODE
        with translation.override(language):
            request.LANGUAGE_CODE = language
            response = self.get_response(request)
            response.headers.setdefault("Content-Language", language)
        return response


def remember(response: HttpResponse, language: str) -> None:
    """Remember the choice for a year."""
    keep(response, settings.LANGUAGE_COOKIE_NAME, language)


def keep(response: HttpResponse, name: str, value: str) -> None:
    """Set a cookie for a preference; it identifies nobody."""
    response.set_cookie(
        name, value, max_age=YEAR_S, secure=settings.SESSION_COOKIE_SECURE, httponly=True, samesite="Lax"
    )
