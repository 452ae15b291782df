"""抵扣: reserve before the call is dispatched, then settle or give back; the only writer of Debits.

A Debit is `held` until one conditional UPDATE makes it `settled` (the call answers with code 0) or `returned`
(any other code, or the sweep after its hold ran out). The first of the two wins, whoever asks: a settle that
comes after the sweep raises HoldLost; that call must not be served (faceapi: 5004), so it costs nothing.

Each function is one round trip (two for a reserve that its first Period can't pay alone), by itself or inside
a caller's `transaction.atomic()`. By itself, reserve and give_back do not wait for the disk and settle does
(docs/decisions/0020-quota.md). Lock order everywhere: the call's Debit, then Periods by (ends_at, package),
then what the caller locks: settle and give_back come first.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import F, Q, Sum

from accounts.models import App
from billing.errors import BillingError, Expired, HoldLost, NotOrdered, UsedUp
from billing.models import Debit, DebitState, Period

MAX_HOLD_S = 240  # with a sweep each minute, a dead call's units are back within 5 minutes
SWEEP_BATCH = 1000

_DEBIT_FIELDS = [
    "call_id", "app_id", "api", "units", "state",
    "remaining_after", "created_at", "hold_expires_at", "closed_at",
]  # fmt: skip


def live(at: datetime) -> Q:
    """The Periods whose window [starts_at, ends_at) holds `at`."""
    return Q(starts_at__lte=at, ends_at__gt=at)


def reserve(
    *, call_id: UUID, app: App, api: str, images: int, pairs: int = 0, at: datetime, hold_s: float = 180
) -> Debit:
    """Takes what the call costs from the App's live Periods: wholly or not at all, in burn order.

    Idempotent by `call_id`: a repeat takes nothing and returns the Debit as it is now, in whatever state.
    Its `units` and `remaining_after` (X-Quota-Remaining) need no further query. Raises NotOrdered, UsedUp,
    Expired.
    """
    if images < 1 or pairs < 0 or not 0 < hold_s <= MAX_HOLD_S:
        raise ValueError(f"images={images}, pairs={pairs}, hold_s={hold_s}")
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


def settle(call_id: UUID, at: datetime) -> None:
    """Answered with code 0: the call's units are spent. Idempotent; raises HoldLost after a give-back."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE billing_debit SET state = 'settled', closed_at = %s"
            " WHERE call_id = %s AND state = 'held'",
            [at, call_id],
        )
        settled = cursor.rowcount
    if not settled and not Debit.objects.filter(call_id=call_id, state=DebitState.SETTLED).exists():
        raise HoldLost(call_id=call_id)


def give_back(call_id: UUID, at: datetime) -> int:
    """The call is not answered with code 0: its units return. How many; 0 if none were held (any more)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT billing_give_back(%s, %s, %s)", [call_id, at, not connection.in_atomic_block])
        (units,) = cursor.fetchone()
    return units


def sweep(at: datetime) -> int:
    """Gives back every hold that ran out by `at`; how many. One transaction each: no deadlock."""
    swept = 0
    while True:
        lost = list(
            Debit.objects.filter(state=DebitState.HELD, hold_expires_at__lte=at)
            .order_by("hold_expires_at")
            .values_list("call_id", flat=True)[:SWEEP_BATCH]
        )
        swept += sum(give_back(call_id, at) > 0 for call_id in lost)
        if len(lost) < SWEEP_BATCH:
            return swept


def remaining(app: App, api: str, at: datetime) -> int:
    """剩余调用量: the units left in the live Periods of the App's API."""
    periods = Period.objects.filter(live(at), app=app, api=api)
    return periods.aggregate(left=Sum(F("granted") - F("used")))["left"] or 0
