"""Keep a form that was sent after the session had expired, and offer it again after the login.

A form is kept only if the user of the expired session is known (console/middleware/sessions.py), so that
another user of the same browser does not see it. Forms with passwords or files are not kept; others expire
after KEPT_FOR.
"""

from dataclasses import dataclass
from datetime import timedelta

from django.http import HttpRequest

from common.postgresql.clock import now

KEY = "kept_form"
KEPT_FOR = timedelta(minutes=30)
MAX_BYTES = 16 * 1024
ENDED_USER = "ended_session_of"  # an attribute of the request: the primary key of the user


@dataclass(frozen=True)
class KeptForm:
    """The address to which a form was sent, its page and its fields."""

    action: str
    page: str
    fields: list[tuple[str, str]]


def keep(request: HttpRequest, page: str) -> bool:
    """Keep the form of this POST, sent from `page`; return whether that was possible."""
    user = getattr(request, ENDED_USER, None)
    is_plain = request.content_type == "application/x-www-form-urlencoded"
    length = request.META.get("CONTENT_LENGTH") or "0"
    if user is None or not is_plain or not length.isdecimal() or int(length) > MAX_BYTES:
        return False
    if any("password" in name for name in request.POST):
        return False
    fields = [
        [name, value]
        for name, values in request.POST.lists()
        if name != "csrfmiddlewaretoken"
        for value in values
    ]
    request.session[KEY] = {
        "user": user,
        "action": request.get_full_path(),
        "page": page,
        "fields": fields,
        "at_s": int(now().timestamp()),
    }
    request.session.set_expiry(KEPT_FOR)  # until the login, which starts a session of its own length
    return True


def take(request: HttpRequest) -> KeptForm | None:
    """Remove and return the kept form of the current user; None if there is none."""
    kept = request.session.pop(KEY, None)
    if kept is None or kept["user"] != request.user.pk:
        return None
    if now().timestamp() - kept["at_s"] > KEPT_FOR.total_seconds():
        return None
    return KeptForm(kept["action"], kept["page"], [(name, value) for name, value in kept["fields"]])
