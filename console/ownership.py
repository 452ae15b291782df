"""The Apps and keys of the request's customer: every query of the pages begins here."""

from datetime import datetime

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

from accounts import keys
from accounts.models import App, AppKey
from console.access import CustomerRequest


def own_app(request: CustomerRequest, app_id: str) -> App:
    """Return the customer's App with that id. Raises Http404, also for another customer's App."""
    return get_object_or_404(own_apps(request), app_id=app_id)


def own_apps(request: CustomerRequest) -> QuerySet[App]:
    """Return the customer's Apps, newest first."""
    return request.user.apps.select_related("region")


def apps_in_use(request: CustomerRequest) -> QuerySet[App]:
    """Return the customer's Apps that are not archived."""
    return own_apps(request).filter(archived_at=None)


def chosen_app(apps: list[App], app_id: str) -> App | None:
    """Return the App named in the address, which must be the customer's; by default, the newest one."""
    if app_id:
        own = next((one for one in apps if one.app_id == app_id), None)
        if own is None:
            raise Http404
        return own
    return apps[0] if apps else None


def newest_key(app: App, at: datetime) -> AppKey | None:
    """Return the newest live key of the App; None if there is none."""
    return keys.live(at).filter(app=app).order_by("-created_at", "-pk").first()
