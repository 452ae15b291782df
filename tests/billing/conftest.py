"""Fixtures of billing: the customers Alice and Bob, the operator Olga, and `shop`, which places orders."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from uuid import UUID

import pytest

from accounts.models import App, User
from billing import orders, quota
from billing.books import reconcile
from billing.books.reconcile import Break
from billing.models import Order, Sku
from billing.payments import refunds, vouchers, wallet
from billing.periods import SHANGHAI
from common import time_ids
from tests import purchases


def shanghai(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    """Return a local time."""
    return datetime(year, month, day, hour, minute, second, tzinfo=SHANGHAI)


NOON = shanghai(2027, 3, 10, 12)
LATER = NOON + timedelta(hours=1)
DETECT = "face_detect"


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_user("alice", "alice@example.org", email_verified_at=NOON)


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob", "bob@example.org", email_verified_at=NOON)


@pytest.fixture
def olga(db: None) -> User:
    return User.objects.create_superuser("olga", "olga@example.org")


def breaks(at: datetime = NOON) -> list[Break]:
    """Return the breaks that reconcile finds in this room's books (without the checks of faceapi)."""
    return [broken for proof in reconcile.prove(reconcile.CHECKS, at) for broken in proof.breaks]


@dataclass
class Shop:
    """Places orders, by default with small numbers of units."""

    tokens: count = field(default_factory=count)

    def sku(self, *, api: str = DETECT, units: int = 1000, price: str = "0.00", meter: str = "") -> Sku:
        """Return the thousand-tier Sku of the API, after setting its units and price."""
        sku = Sku.objects.get(api=api, tier="thousand")
        sku.units_per_month, sku.price, sku.meter = units, Decimal(price), meter or sku.meter
        sku.save()
        return sku

    def order(
        self,
        customer: User,
        at: datetime = NOON,
        *,
        app: App | None = None,
        quantity: int = 1,
        months: int = 1,
        token: str = "",
        **sku: str | int,
    ) -> Order:
        return purchases.place(
            customer,
            at=at,
            app=app,
            sku=self.sku(**sku),
            quantity=quantity,
            months=months,
            token=token or f"token {next(self.tokens)}",
        )

    def buy(self, customer: User, at: datetime = NOON, **wishes: object) -> App:
        """Place and pay an order; return its App."""
        return purchases.pay(self.order(customer, at, **wishes), at)


@pytest.fixture
def shop(db: None) -> Shop:
    return Shop()


@pytest.fixture
def call() -> Callable[..., UUID]:
    """Make a call with code 0, confirm it, and return its id."""

    def answered(app: App, at: datetime, images: int = 1, *, pairs: int = 0, api: str = DETECT) -> UUID:
        call_id = time_ids.new(at)
        units = quota.reserve(call_id=call_id, app=app, api=api, images=images, pairs=pairs, at=at).units
        quota.settle(call_id, at)
        assert quota.confirm({call_id: units}) == {call_id: "settled"}
        return call_id

    return answered


@pytest.fixture
def books(alice: User, olga: User, shop: Shop, call) -> App:
    """Create all rows: cash, vouchers, a refund, a cancelled order; settled, returned, held calls."""
    wallet.top_up(alice, Decimal(50), by=olga, reason="transfer", at=NOON)
    vouchers.issue(
        face_value=Decimal(5), valid_from=NOON, valid_until=NOON + timedelta(days=9), customer=alice, by=olga,
        reason="gift", at=NOON,
    )  # fmt: skip
    app = shop.buy(alice, price="8.00", units=100, months=3)
    again = orders.pay(shop.order(alice, LATER, app=app, price="1.00"), LATER)
    refunds.refund(again.package, by=olga, reason="mistake", at=LATER)
    orders.cancel(shop.order(alice), NOON)
    call(app, NOON, 7)
    for images in (3, 5):
        debit = quota.reserve(call_id=time_ids.new(NOON), app=app, api=DETECT, images=images, at=NOON)
    quota.give_back(debit.pk, NOON)
    return app
