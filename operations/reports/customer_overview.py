"""/ops/desk/: from a request id, an App id, an order number, an AppKey or a name to the whole story.

Everything hangs on one customer: the Apps, keys and orders that the question is about, what was called and
answered, what it cost, which Periods paid, and what was paid for those.
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
from operations.access import OperatorRequest, operator

SHOWN = 20
ALL = 1000  # shown of one list when it is opened as a whole
Row = TypeVar("Row")


@dataclass(frozen=True)
class Listing(Generic[Row]):
    """The first rows of a list, and how many there are in all. `name` opens the list as a whole."""

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
        """Whether opening it would show more rows than there are now."""
        return len(self.rows) < ALL


@dataclass
class CustomerOverview:
    """What is known about a subject. `call` and `debit` are there when one request was asked for.

    `opened` is the name of the list that is shown as a whole; the others show their first rows.
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
    most: int = ALL  # rows of the list that is opened
    others: list[User] = field(default_factory=list)  # more customers that the text fits
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
        """The App in question, or all of the customer's."""
        if self.app is not None:
            return [self.app]
        return list(App.objects.filter(customer=self.customer).select_related("region"))

    @cached_property
    def apps(self) -> Listing[App]:
        return Listing("apps", self.all_apps[: self._limit("apps")], len(self.all_apps))

    @cached_property
    def keys(self) -> Listing[tuple[AppKey, bool]]:
        """Their keys, newest first, and whether each is live; a secret is never among what is read."""
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
        """What names the App or the customer in question in a report's filter."""
        return self.app.app_id if self.app is not None else self.person.username

    @cached_property
    def person(self) -> User:
        if self.customer is None:
            raise LookupError("nobody was found")
        return self.customer

    # --- what was called, and what it cost -------------------------------------------

    @cached_property
    def meaning(self) -> dict[str, str]:
        return explained(self.call.code) if self.call else {}

    @cached_property
    def lines(self) -> "QuerySet[DebitLine]":
        """From which Periods the call was paid, each with its Package and order."""
        return DebitLine.objects.filter(debit=self.debit).select_related("period__package__order")

    @cached_property
    def calls(self) -> list[tuple[Call, str]]:
        """The latest calls of the key or the Apps in question, with what each code means."""
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
        """Packages of the order, the call or the Apps in question, with their Periods."""
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
        """What the customer holds or held, the longest valid first, whatever the question is about."""
        return self._rows("vouchers", vouchers.of(self.person).order_by("-valid_until", "-pk"))

    @cached_property
    def acts(self) -> Listing[AuditEntry]:
        """What operators did for this customer."""
        return self._rows("acts", AuditEntry.objects.filter(customer=self.customer).select_related("by"))


def find(text: str, at: datetime, opened: str = "", most: int = ALL) -> CustomerOverview:
    """Return the overview of what `text` names, without a customer if it names nothing."""
    text = text.strip()
    story = CustomerOverview(at, opened, most=most)
    if not text:
        return story
    try:
        return _of_call(story, UUID(text)) if len(text) >= 32 else _of_name(story, text)
    except ValueError:
        return _of_name(story, text)


def _of_call(story: CustomerOverview, call_id: UUID) -> CustomerOverview:
    story.call_id = call_id
    story.call = (
        Call.objects.select_related("app__customer", "app__region", "app_key").filter(pk=call_id).first()
    )
    story.debit = Debit.objects.select_related("app__customer", "app__region").filter(pk=call_id).first()
    known = story.call or story.debit  # a call that died has a debit only
    if known is not None:
        story.app, story.customer = known.app, known.app.customer
    return story


def _of_name(story: CustomerOverview, text: str) -> CustomerOverview:
    apps = App.objects.select_related("customer", "region")
    if app := apps.filter(app_id=text.lower()).first():
        story.app, story.customer = app, app.customer
    elif re.fullmatch(r"[0-9a-fA-F]{16}", text) and (
        key := AppKey.objects.select_related("app__customer", "app__region").filter(key=text.lower()).first()
    ):
        story.key, story.app, story.customer = key, key.app, key.app.customer
    elif order := Order.objects.select_related("customer", "app", "sku").filter(number=text).first():
        story.order, story.app, story.customer = order, order.app, order.customer
    elif user := User.objects.filter(Q(username=text) | Q(email__iexact=text)).first():
        story.customer = user
    else:
        fits = Q(username__icontains=text) | Q(email__icontains=text) | Q(company__icontains=text)
        found = list(User.objects.filter(fits | Q(apps__name__icontains=text)).distinct()[: SHOWN + 1])
        story.customer = found[0] if len(found) == 1 else None
        story.others = found[:SHOWN] if len(found) > 1 else []
        story.has_more_others = len(found) > SHOWN
    return story


# The subjects of the page, and the templates in operations/desk/ that each of them shows.
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
    """A subject of the page, with the number of its rows; None if counting them would take long."""

    name: str
    label: str
    count: int | None


def tabs(story: CustomerOverview) -> list[Tab]:
    """Return the subjects in their order."""
    return [
        Tab("overview", _("概览"), None),
        Tab("apps", _("应用与密钥"), story.apps.total),
        Tab("orders", _("订单与资源包"), story.orders.total),
        Tab("calls", _("调用"), None),
        Tab("money", _("收支与代金券"), story.entries.total),
        Tab("acts", _("运营操作"), story.acts.total),
    ]


def chosen_tab(story: CustomerOverview, asked: str) -> str:
    """Return the subject that was asked for, or the one that what was searched for is about."""
    if asked in SECTIONS:
        return asked
    if story.order is not None:
        return "orders"
    return "apps" if story.key is not None else "overview"


@require_GET
@operator("ops_desk")
def page(request: OperatorRequest) -> HttpResponse:
    text = request.GET.get("q", "")[:150]
    story = find(text, now(), request.GET.get("all", ""))
    chosen = chosen_tab(story, request.GET.get("tab", ""))
    context = {
        "q": text,
        "story": story,
        "tab": chosen,
        "tabs": tabs(story) if story.is_found else [],
        "sections": SECTIONS[chosen],
        "nav": "desk",
        "roles": [roles.NAMES[name] for name in roles.of(story.customer)] if story.customer else [],
    }
    return render(request, "operations/desk.html", context, status=200 if story.is_found or not text else 404)
