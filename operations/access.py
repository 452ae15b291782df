"""Access control: each of the operators' pages names the permission that it requires (accounts/roles.py)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec, cast

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.utils.text import capfirst
from django_htmx.middleware import HtmxDetails

from accounts import approvals, roles
from accounts.models import App, AppKey, AuditEntry, User
from billing.models import Order, Package, Sku, Voucher, WalletEntry
from common.postgresql.clock import now
from console.access import CustomerRequest, log_in_first
from operations.records.base import records_of

P = ParamSpec("P")


class OperatorRequest(HttpRequest):
    """A request that `@operator` has accepted: its user has the page's permission."""

    user: User
    htmx: HtmxDetails


def as_customer(request: OperatorRequest) -> CustomerRequest:
    """Return the request with the type that views shared with the console accept."""
    return cast(CustomerRequest, request)


def operator(
    permission: str,
) -> Callable[
    [Callable[Concatenate[OperatorRequest, P], HttpResponse]],
    Callable[Concatenate[HttpRequest, P], HttpResponse],
]:
    """Restrict a view to operators with the permission: visitors must log in, other users get 403."""

    def decorator(
        view: Callable[Concatenate[OperatorRequest, P], HttpResponse],
    ) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
        @wraps(view)
        def wrapper(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            if not request.user.is_authenticated:
                return log_in_first(request)
            if not roles.may(request.user, permission):
                raise PermissionDenied
            return view(cast(OperatorRequest, request), *args, **kwargs)

        return wrapper

    return decorator


def granted(request: HttpRequest) -> dict[str, object]:
    """Return the context with which templates show only permitted links, such as `may.ops_refund`."""
    if not getattr(getattr(request, "user", None), "is_staff", False):
        return {}
    may = SimpleLazyObject(lambda: {name: roles.may(request.user, name) for name in roles.PERMISSIONS})
    return {
        "may": may,
        "record_links": SimpleLazyObject(lambda: record_links(request)),
        "approvals_waiting": SimpleLazyObject(lambda: approvals.pending(now()).count()),
    }


@dataclass(frozen=True, slots=True)
class RecordLink:
    """A table of the records in the navigation."""

    label: str
    href: str
    icon: str
    is_here: bool


# The tables that operators use daily; all tables are listed under "All records".
IN_NAVIGATION = (User, App, AppKey, Order, Package, WalletEntry, Voucher, Sku, AuditEntry)


def record_links(request: HttpRequest) -> list[RecordLink]:
    """Return the tables of IN_NAVIGATION that the operator may read."""
    links = []
    for model in IN_NAVIGATION:
        records = records_of(model)
        if records.has_view_permission(request):
            href = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
            label = capfirst(records.name)
            links.append(RecordLink(label, href, records.icon, request.path.startswith(href)))
    return links
