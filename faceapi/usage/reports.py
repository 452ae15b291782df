"""An App's latest calls, for its customer. Sums over calls are in operator_reports.py."""

from uuid import UUID

from django.db.models import QuerySet

from accounts.models import App
from faceapi.models import Call


def latest_calls(app: App, limit: int, *, api: str = "", request_id: str = "") -> "QuerySet[Call]":
    """Return the newest calls of the App, or the one with that request id; none for an invalid id."""
    calls = Call.objects.filter(app=app).order_by("-at")
    if request_id:
        try:
            return calls.filter(pk=UUID(request_id.strip()))
        except ValueError:
            return calls.none()
    return (calls.filter(api=api) if api else calls)[:limit]
