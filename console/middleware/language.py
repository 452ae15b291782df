"""The language of the pages: Chinese by default, or the one chosen by the switch, kept in a cookie.

The browser's Accept-Language header is not used. Django's LocaleMiddleware would send Vary: Accept-Language.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation

YEAR_S = 365 * 24 * 3600


def supported(code: str | None) -> str | None:
    """Return `code` if it is a supported language, else None."""
    return code if code in dict(settings.LANGUAGES) else None


class LanguageMiddleware:
    """Activates the cookie's language during one request."""

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
    """Set a cookie for a preference; it does not identify the user."""
    response.set_cookie(
        name, value, max_age=YEAR_S, secure=settings.SESSION_COOKIE_SECURE, httponly=True, samesite="Lax"
    )
