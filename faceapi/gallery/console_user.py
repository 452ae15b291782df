"""A signed header that names the console user who made a call, for the audit trail.

The console enrols and searches by calls of the API, signed with the App's key. The header is signed with
DJANGO_SECRET_KEY, names the App and expires after VALID_S; it is sent to the product's own address only and
is never shown. It grants no permission: a call with an invalid header is treated like one without it.
"""

from collections.abc import Mapping
from typing import Any

from django.core import signing

from accounts.models import App, User

HEADER = "X-Console-User"
SALT = "faceapi.console_user"
VALID_S = 300


def header(app: App, user: User) -> dict[str, str]:
    """Return the header for a call that this user makes in the console."""
    return {HEADER: signing.dumps([app.pk, user.pk], salt=SALT)}


def of(meta: Mapping[str, Any], app: App) -> User | None:
    """Return the App's customer if the call came from the console, otherwise None."""
    try:
        named = signing.loads(meta.get("HTTP_X_CONSOLE_USER", ""), salt=SALT, max_age=VALID_S)
    except signing.BadSignature:
        return None
    return app.customer if named == [app.pk, app.customer_id] else None
