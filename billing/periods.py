"""How months are anchored (manual 2, order note 3 and its example). Pure functions.

Months count from the day of payment in Asia/Shanghai. Period 0 starts at the moment of payment; Period k
starts at local midnight of that day plus k months, clipped to the month's end from the ORIGINAL day
(31 January → 28 or 29 February → 31 March). Windows are half-open: each ends where the next starts.
"""

import itertools
from calendar import monthrange
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")


def add_months(anchor: date, months: int) -> date:
    """Return the anchor's day `months` later, clipped to the last day of that month."""
    year, month = divmod(anchor.year * 12 + anchor.month - 1 + months, 12)
    return date(year, month + 1, min(anchor.day, monthrange(year, month + 1)[1]))


def months_before(at: datetime, months: int) -> datetime:
    """Return the midnight in Asia/Shanghai at which the month `months` before that of `at` begins."""
    first = at.astimezone(SHANGHAI).date().replace(day=1)
    return datetime.combine(add_months(first, -months), time.min, SHANGHAI)


def windows(paid_at: datetime, months: int) -> list[tuple[datetime, datetime]]:
    """Return the `months` windows [start, end) of a Package paid at `paid_at` (aware), in Asia/Shanghai."""
    if paid_at.tzinfo is None:
        raise ValueError("paid_at must be aware")
    if months < 1:
        raise ValueError("months must be at least 1")
    start = paid_at.astimezone(SHANGHAI)
    bounds = [start] + [
        datetime.combine(add_months(start.date(), k), time.min, SHANGHAI) for k in range(1, months + 1)
    ]
    return list(itertools.pairwise(bounds))
