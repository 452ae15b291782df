"""An App's latest calls, for its report; call_log.py has all of them, operator_reports.py the sums."""

from django.db.models import QuerySet

from accounts.models import App
from faceapi.models import Call


def latest_calls(app: App, limit: int, *, api: str = "") -> "QuerySet[Call]":
    """Return the newest calls of the App."""
    calls = Call.objects.filter(app=app).order_by("-at")
    return (calls.filter(api=api) if api else calls)[:limit]
