"""An App's latest calls, for its report (all calls: call_log.py; sums: operator_reports.py)."""

from django.db.models import QuerySet

from accounts.models import App
from faceapi.models import Call


def latest_calls(app: App, limit: int, *, api: str = "") -> "QuerySet[Call]":
    """Return the newest calls of the App."""
    calls = Call.objects.filter(app=app).order_by("-at")
    return (calls.filter(api=api) if api else calls)[:limit]
