"""抵扣: reserve units before a call is dispatched, then settle or give back; the only writer of Debits.

A Debit is `held` until `settle` makes it `settling`: the answer with code 0 may be sent now. After it was
sent, `confirm` makes the Debit `settled`, and only then is the charge final. `withdraw` returns the units of
a call that ended otherwise, held or settling. Units that are neither confirmed nor withdrawn in time are
returned by a scheduled sweep: holds by `sweep`, settling Debits by faceapi, which also corrects their Calls.
Every transition is a conditional UPDATE, so the first one wins: a settle after a sweep raises HoldLost, and
that call must not be served.

Each function is one round trip (two for a reserve that needs more than its first Period), on its own or
inside a caller's `transaction.atomic()`. On their own, reserve and give_back do not wait for the disk; settle
and confirm do (docs/decisions/0020-quota.md). Lock order everywhere: the call's Debit, Periods by
(ends_at, package), then what the caller locks. So call settle and give_back first.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import F, Q, Sum

from accounts.models import App
from billing import overdue
from billing.errors import BillingError, Expired, HoldLost, NotOrdered, UsedUp
from billing.models import Debit, DebitState, Period

MAX_HOLD_S = 240  # with a sweep each minute, the units of a dead call are returned within 5 minutes
# From the settle to the confirmation; slower clients are disconnected (facecloud/web/response_buffer.py).
CONFIRM_WITHIN_S = 240
SETTLING_OR_SETTLED = (DebitState.SETTLING, DebitState.SETTLED)

_DEBIT_FIELDS = [
    "call_id", "app_id", "api", "units", "state",
    "remaining_after", "created_at", "hold_expires_at", "closed_at",
]  # fmt: skip


def live(at: datetime) -> Q:
    """Match the Periods whose window [starts_at, ends_at) contains `at`."""
    return Q(starts_at__lte=at, ends_at__gt=at)


def reserve(
    *, call_id: UUID, app: App, api: str, images: int, pairs: int = 0, at: datetime, hold_s: float = 180
) -> Debit:
    """Reserve the units of the call in the App's live Periods: all or none, in burn order.

    Idempotent by `call_id`: a repeat reserves nothing and returns the Debit in its present state. Its `units`
    and `remaining_after` (X-Quota-Remaining) need no further query. Raises NotOrdered, UsedUp, Expired, and
    ValueError for invalid arguments or a `call_id` of another App or API.
    """
    if images < 1 or pairs < 0 or not 0 < hold_s <= MAX_HOLD_S:
        raise ValueError(f"invalid arguments: images={images}, pairs={pairs}, hold_s={hold_s}")
    alone = not connection.in_atomic_block
    with connection.cursor() as cursor:
        for quick in [True, False] if alone else [False]:
            cursor.execute(
                "SELECT * FROM billing_reserve(%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [call_id, app.pk, api, images, pairs, at, at + timedelta(seconds=hold_s), alone, quick],
            )
            row = cursor.fetchone()
            if row[0] != "again":
                break
    outcome, app_id, api_name, units, state, remaining, created, until, closed, moment = row
    if outcome != "held":
        raise _refusal(outcome, remaining, moment)
    if (app_id, api_name) != (app.pk, api):
        raise ValueError(f"call {call_id} belongs to another App or API")
    return Debit.from_db(
        connection.alias,
        _DEBIT_FIELDS,
        [call_id, app_id, api, units, state, remaining, created, until, closed],
    )


def _refusal(outcome: str, remaining: int, moment: datetime | None) -> BillingError:
    if outcome == "not_ordered":
        return NotOrdered()
    if outcome == "expired":
        return Expired(ended_at=moment)
    return UsedUp(remaining=remaining, next_at=moment)


_SETTLE = """
WITH settled AS (
    UPDATE billing_debit SET state = 'settling', closed_at = %(settle_at)s, hold_expires_at = %(settle_until)s
     WHERE call_id = %(settle_id)s AND state = 'held' RETURNING call_id
)
SELECT {record} FROM settled
"""


def settle(
    call_id: UUID, at: datetime, *, record: str = "true", values: Mapping[str, Any] | None = None
) -> bool:
    """Mark the call's units as settling: its answer with code 0 may be sent, and `confirm` must follow.

    Idempotent; returns whether this was the first time, and raises HoldLost after a give-back. The first
    time, the SQL expression `record` with its `values` is evaluated in the same statement: what it writes is
    written if and only if the call is settled, without a transaction of several round trips.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _SETTLE.format(record=record),
            {
                **(values or {}),
                "settle_id": call_id,
                "settle_at": at,
                "settle_until": at + timedelta(seconds=CONFIRM_WITHIN_S),
            },
        )
        is_first = cursor.fetchone() is not None
    if not is_first and not Debit.objects.filter(call_id=call_id, state__in=SETTLING_OR_SETTLED).exists():
        raise HoldLost(call_id=call_id)
    return is_first


_CONFIRM = """
WITH stated AS (
    SELECT * FROM unnest(%s::uuid[], %s::integer[]) AS stated (call_id, units)
), ready AS MATERIALIZED (
    SELECT debit.call_id FROM billing_debit AS debit JOIN stated USING (call_id)
     WHERE debit.state = 'settling' AND debit.units = stated.units
       FOR NO KEY UPDATE OF debit SKIP LOCKED
), settled AS (
    UPDATE billing_debit AS debit SET state = 'settled' FROM ready WHERE debit.call_id = ready.call_id
    RETURNING debit.call_id, debit.app_id, debit.api, debit.closed_at
), tallied AS (
    INSERT INTO billing_answeredhour AS tally (hour, app_id, api, answers, units)
    SELECT date_trunc('hour', closed_at, 'UTC'), app_id, api, count(*), sum(stated.units)
      FROM settled JOIN stated USING (call_id) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (hour, app_id, api) DO UPDATE
       SET answers = tally.answers + excluded.answers, units = tally.units + excluded.units
)
SELECT call_id FROM settled
"""


def confirm(stated: Mapping[UUID, int]) -> dict[UUID, str]:
    """Confirm the calls whose answers were sent; `stated` maps each call's id to the units in its answer.

    The units are added to the AnsweredHours in a fixed order, so that concurrent calls cannot deadlock.

    Returns the state of each Debit: `settled`; `settling` if it is locked now, and must be confirmed again;
    `returned` if the sweep came first; `wrong` if it does not exist or has other units.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CONFIRM, [list(stated), list(stated.values())])
        now = {call_id: DebitState.SETTLED.value for (call_id,) in cursor.fetchall()}
    if left := stated.keys() - now.keys():
        debits = Debit.objects.filter(call_id__in=left).values_list("call_id", "state", "units")
        now |= dict.fromkeys(left, "wrong")
        now |= {call_id: state for call_id, state, units in debits if units == stated[call_id]}
    return now


def give_back(call_id: UUID, at: datetime) -> int:
    """Return the units of a held call to their Periods; return their number, 0 if none were held."""
    return _return(call_id, at, "held", relaxed=not connection.in_atomic_block)


def withdraw(call_id: UUID, at: datetime) -> int:
    """Return the units of a held or settling call whose answer was not sent; return their number."""
    return _return(call_id, at, "settling", relaxed=not connection.in_atomic_block)


def _return(call_id: UUID, at: datetime, up_to: str, *, relaxed: bool) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT billing_give_back(%s, %s, %s, %s)", [call_id, at, relaxed, up_to])
        (units,) = cursor.fetchone()
    return units


def sweep(at: datetime) -> int:
    """Return the units of every hold that expired by `at`; return the number of holds.

    Each hold has its own transaction, so that sweeps cannot deadlock. Raises DatabaseError at the end if any
    could not be returned (overdue.py).
    """
    return overdue.end_each(
        DebitState.HELD, at, lambda debit: _return(debit.call_id, at, "held", relaxed=True)
    )


def remaining(app: App, api: str, at: datetime) -> int:
    """Return 剩余调用量: the units left in the live Periods of the App's API."""
    periods = Period.objects.filter(live(at), app=app, api=api)
    return periods.aggregate(left=Sum(F("granted") - F("used")))["left"] or 0
