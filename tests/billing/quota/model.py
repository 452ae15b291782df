"""A reference model of billing in plain Python, which sums lists and counts days one by one."""

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

from accounts.models import App
from billing.models import Order
from billing.periods import SHANGHAI


@dataclass
class Month:
    starts: datetime
    ends: datetime
    left: int


@dataclass(eq=False)
class Purchase:
    """An order and, once it is paid, its package."""

    order: Order
    made: datetime
    token: str
    amount: Decimal
    app: "Service | None"
    units: int
    months: int
    price: int
    paid: datetime | None = None
    state: str = "pending"
    cash: Decimal = Decimal(0)
    from_vouchers: list[tuple["ModelVoucher", Decimal]] = field(default_factory=list)
    periods: list[Month] = field(default_factory=list)


@dataclass(eq=False)
class Service:
    """An App with its packages, the oldest first."""

    app: App
    purchases: list[Purchase] = field(default_factory=list)


@dataclass(eq=False)
class ModelVoucher:
    """A voucher of the model."""

    until: datetime
    left: Decimal


@dataclass(eq=False)
class Held:
    call_id: UUID
    until: datetime
    service: Service
    parts: list[tuple[Month, int]]
    state: str = "held"


def month_ends(paid: datetime, count: int) -> list[datetime]:
    """Return the month ends, counted day by day: the anchor's day, or the last day of a month without it."""
    ends: list[datetime] = []
    day: date = paid.date()
    while len(ends) < count:
        day += timedelta(days=1)
        last_of_month = (day + timedelta(days=1)).month != day.month
        if day.month == paid.month and day.year == paid.year:
            continue
        if day.day == paid.day or (last_of_month and day.day < paid.day):
            ends.append(datetime.combine(day, time(), SHANGHAI))
    return ends
