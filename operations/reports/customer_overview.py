"""/ops/desk/: all data of a customer, found by request id, App id, order number, AppKey or name.

It shows the Apps, keys and orders that match, the calls with their codes and units, the Periods that paid for
them, and the payments for these.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from accounts import keys as key_rules
from accounts import roles
from accounts.models import App, AppKey, AuditEntry, User
from billing import packages
from billing.models import (
    Debit,
    DebitLine,
    Order,
    Package,
    Period,
    Voucher,
    VoucherEntry,
    WalletEntry,
)
from billing.packages import Summary
from billing.payments import vouchers, wallet
from common.postgresql.clock import now
from console.error_messages import explained
from faceapi.models import Call
from faceapi.usage.operator_reports import latest_of
from operations import customers
from operations.access import OperatorRequest, operator

SHOWN = 20
ALL = 1000  # rows of a list that is opened in full
Row = TypeVar("Row")


@dataclass(frozen=True)
class Listing(Generic[Row]):
    """The first rows of a list, and their total number. `name` opens the whole list."""

    name: str
    rows: list[Row]
    total: int

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def is_cut(self) -> bool:
        return self.total > len(self.rows)

    @property
    def can_be_opened(self) -> bool:
        """Return whether opening it would show more rows."""
        return len(self.rows) < ALL


@dataclass
class CustomerOverview:
    """The data about a subject. `call` and `debit` are set if the search was for a request.

    `opened` is the name of the list that is shown in full; the others show their first rows.
    """

    at: datetime
    opened: str = ""
    customer: User | None = None
    app: App | None = None
    key: AppKey | None = None
    order: Order | None = None
    call_id: UUID | None = None
    call: Call | None = None
    debit: Debit | None = None
    most: int = ALL  # rows of the opened list
    others: list[User] = field(default_factory=list)  # if the text matches several customers
    has_more_others: bool = False

    @property
    def is_found(self) -> bool:
        return self.customer is not None

    def _limit(self, name: str) -> int:
        return self.most if self.opened == name else SHOWN

    def _rows(self, name: str, found: "QuerySet[Any]") -> Listing[Any]:
        rows = list(found[: self._limit(name)])
        return Listing(name, rows, len(rows) if len(rows) < self._limit(name) else found.count())

    # --- whose ---------------------------------------------------------------------

    @cached_property
    def all_apps(self) -> list[App]:
        """Return the App that was searched for, or all of the customer's."""
        if self.app is not None:
            return [self.app]
        return list(App.objects.filter(customer=self.customer).select_related("region"))

    @cached_property
    def apps(self) -> Listing[App]:
        return Listing("apps", self.all_apps[: self._limit("apps")], len(self.all_apps))

    @cached_property
    def keys(self) -> Listing[tuple[AppKey, bool]]:
        """Return their keys, newest first, and whether each is live; secrets are not loaded."""
        live = set(key_rules.live(self.at).filter(app__in=self.all_apps).values_list("pk", flat=True))
        found = AppKey.objects.filter(app__in=self.all_apps).defer("secret_encrypted").select_related("app")
        listed = self._rows("keys", found)
        return Listing("keys", [(key, key.pk in live) for key in listed], listed.total)

    @cached_property
    def balance(self) -> Decimal:
        return wallet.balance(self.person)

    @cached_property
    def voucher_balance(self) -> Decimal:
        return vouchers.balance(self.person, self.at)

    @property
    def who(self) -> str:
        """Return the text that selects the App or the customer in a report's filter."""
        return self.app.app_id if self.app is not None else self.person.username

    @cached_property
    def person(self) -> User:
        if self.customer is None:
            raise LookupError("no customer was found")
        return self.customer

    # --- what was called, and what it cost -------------------------------------------

    @cached_property
    def meaning(self) -> dict[str, str]:
        return explained(self.call.code) if self.call else {}

    @cached_property
    def lines(self) -> "QuerySet[DebitLine]":
        """Return the Periods that paid for the call, each with its Package and order."""
        return DebitLine.objects.filter(debit=self.debit).select_related("period__package__order")

    @cached_property
    def calls(self) -> list[tuple[Call, str]]:
        """Return the latest calls of the key or the Apps, with the meaning of each code."""
        if self.key is not None:
            found = list(Call.objects.filter(app=self.key.app, app_key=self.key).order_by("-at")[:SHOWN])
        else:
            found = latest_of(self.all_apps, SHOWN)
        return [(call, explained(call.code)["message"]) for call in found]

    # --- what was bought and paid ----------------------------------------------------

    @cached_property
    def summaries(self) -> Listing[Summary]:
        found = packages.summary(self.all_apps, self.at)
        return Listing("summaries", found[: self._limit("summaries")], len(found))

    @cached_property
    def packages(self) -> Listing[Package]:
        """Return the Packages of the order, the call or the Apps, with their Periods."""
        found = Package.objects.select_related("app", "order").prefetch_related(
            Prefetch("periods", Period.objects.order_by("number"))
        )
        if self.order is not None:
            return self._rows("packages", found.filter(order=self.order))
        if self.debit is not None:
            return self._rows("packages", found.filter(periods__lines__debit=self.debit).distinct())
        return self._rows("packages", found.filter(app__in=self.all_apps))

    @cached_property
    def orders(self) -> Listing[Order]:
        found = Order.objects.select_related("sku", "app", "customer")
        if self.order is not None:
            return self._rows("orders", found.filter(pk=self.order.pk))
        if self.debit is not None:
            return self._rows("orders", found.filter(package__periods__lines__debit=self.debit).distinct())
        if self.app is not None:
            return self._rows("orders", found.filter(app=self.app))
        return self._rows("orders", found.filter(customer=self.customer))

    @cached_property
    def entries(self) -> Listing[WalletEntry]:
        found = (
            WalletEntry.objects.filter(wallet__customer=self.customer)
            .select_related("order", "by", "wallet__customer")
            .prefetch_related("reversals")
        )
        return self._rows("entries", found.filter(order=self.order) if self.order is not None else found)

    @cached_property
    def voucher_entries(self) -> Listing[VoucherEntry]:
        found = VoucherEntry.objects.filter(order__customer=self.customer).select_related("order", "voucher")
        if self.order is not None:
            found = found.filter(order=self.order)
        return self._rows("voucher_entries", found)

    @cached_property
    def vouchers(self) -> Listing[Voucher]:
        """Return all vouchers of the customer, the longest valid first, regardless of the search."""
        return self._rows("vouchers", vouchers.of(self.person).order_by("-valid_until", "-pk"))

    @cached_property
    def acts(self) -> Listing[AuditEntry]:
        """Return the operators' actions for this customer; the customer's own are in the audit log."""
        found = AuditEntry.objects.filter(customer=self.customer).exclude(by=self.customer)
        return self._rows("acts", found.select_related("by"))


def find(text: str, at: datetime, opened: str = "", most: int = ALL) -> CustomerOverview:
    """Return the overview of the subject that `text` names; without a customer if nothing matches."""
    text = text.strip()
    overview = CustomerOverview(at, opened, most=most)
    if not text:
        return overview
    try:
        return _of_call(overview, UUID(text)) if len(text) >= 32 else _of_name(overview, text)
    except ValueError:
        return _of_name(overview, text)


def _of_call(overview: CustomerOverview, call_id: UUID) -> CustomerOverview:
    overview.call_id = call_id
    overview.call = (
        Call.objects.select_related("app__customer", "app__region", "app_key").filter(pk=call_id).first()
    )
    overview.debit = Debit.objects.select_related("app__customer", "app__region").filter(pk=call_id).first()
    known = overview.call or overview.debit  # a call whose process died has only a debit
    if known is not None:
        overview.app, overview.customer = known.app, known.app.customer
    return overview


def _of_name(overview: CustomerOverview, text: str) -> CustomerOverview:
    apps = App.objects.select_related("customer", "region")
    if app := apps.filter(app_id=text.lower()).first():
        overview.app, overview.customer = app, app.customer
    elif re.fullmatch(r"[0-9a-fA-F]{16}", text) and (
        key := AppKey.objects.select_related("app__customer", "app__region").filter(key=text.lower()).first()
    ):
        overview.key, overview.app, overview.customer = key, key.app, key.app.customer
    elif order := Order.objects.select_related("customer", "app", "sku").filter(number=text).first():
        overview.order, overview.app, overview.customer = order, order.app, order.customer
    elif user := customers.exactly(text):
        overview.customer = user
    else:
        fits = Q(username__icontains=text) | Q(email__icontains=text) | Q(company__icontains=text)
        found = list(User.objects.filter(fits | Q(apps__name__icontains=text)).distinct()[: SHOWN + 1])
        overview.customer = found[0] if len(found) == 1 else None
        overview.others = found[:SHOWN] if len(found) > 1 else []
        overview.has_more_others = len(found) > SHOWN
    return overview


# The tabs of the page, and the templates in operations/desk/tables/ that each shows.
SECTIONS = {
    "overview": ("summaries", "calls"),
    "apps": ("apps", "keys"),
    "orders": ("orders", "packages"),
    "calls": ("calls",),
    "money": ("entries", "vouchers"),
    "acts": ("acts",),
}


@dataclass(frozen=True, slots=True)
class Tab:
    """A tab of the page, with the number of its rows; None if counting them would take long."""

    name: str
    label: str
    count: int | None


def tabs(overview: CustomerOverview) -> list[Tab]:
    """Return the tabs in order."""
    return [
        Tab("overview", _("概览"), None),
        Tab("apps", _("应用与密钥"), overview.apps.total),
        Tab("orders", _("订单与资源包"), overview.orders.total),
        Tab("calls", _("调用"), None),
        Tab("money", _("收支与代金券"), overview.entries.total),
        Tab("acts", _("运营操作"), overview.acts.total),
    ]


def chosen_tab(overview: CustomerOverview, asked: str) -> str:
    """Return the requested tab, or the one that fits the search."""
    if asked in SECTIONS:
        return asked
    if overview.order is not None:
        return "orders"
    return "apps" if overview.key is not None else "overview"


@require_GET
@operator("ops_desk")
def page(request: OperatorRequest) -> HttpResponse:
    text = request.GET.get("q", "")[:150]
    overview = find(text, now(), request.GET.get("all", ""))
    chosen = chosen_tab(overview, request.GET.get("tab", ""))
    context = {
        "q": text,
        "story": overview,
        "tab": chosen,
        "tabs": tabs(overview) if overview.is_found else [],
        "sections": SECTIONS[chosen],
        "nav": "desk",
        "roles": roles.labels(overview.customer) if overview.customer else "",
    }
    return render(
        request, "operations/desk/desk.html", context, status=200 if overview.is_found or not text else 404
    )
