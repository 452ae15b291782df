"""Absolute links for mails, from SITE_URL and never from the Host header of a request."""

from django.conf import settings


def absolute(path: str) -> str:
    """Return the absolute URL of a path of this site.

    Without SITE_URL, the first allowed host is used instead (`check --deploy` warns of that).
    """
    return (settings.SITE_URL or _first_allowed_host()) + path


def _first_allowed_host() -> str:
    host = next((host.lstrip(".") for host in settings.ALLOWED_HOSTS if host != "*"), "localhost")
    return f"{'https' if settings.SECURE_COOKIES else 'http'}://{host}"
