"""Absolute links, as mails need them: from SITE_URL, never from the Host header of a request."""

from django.conf import settings


def absolute(path: str) -> str:
    """Return the whole URL of a path of this site.

    Without SITE_URL the first allowed host stands in for it (`check --deploy` names that).
    """
    return (settings.SITE_URL or _first_allowed_host()) + path


def _first_allowed_host() -> str:
    host = next((host.lstrip(".") for host in settings.ALLOWED_HOSTS if host != "*"), "localhost")
    return f"{'https' if settings.SECURE_COOKIES else 'http'}://{host}"
