"""The checks of this room: roll-ups are the sum of their calls, charged calls are the settled debits."""

import itertools
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from accounts.models import App
from billing import quota
from billing.models import Debit
from faceapi import calls, errors
from faceapi.calls import CallContext
from faceapi.errors import ApiError
from faceapi.models import Call, UsageHour
from faceapi.usage import reconcile
from tests.lines import AFTER_COMMIT, BEFORE_COMMIT, Line


def breaks() -> list[str]:
    at = timezone.now()
    proofs = (reconcile.usage_is_the_sum_of_calls, reconcile.charged_calls_are_the_settled_debits)
    return [found.detail for check in proofs for found in check(at)]


def held(app: App, at: datetime, images: int = 2) -> CallContext:
    call = CallContext(calls.new_id(at), "face_detect", at, "203.0.113.9", key=app.keys.get(), images=images)
    call.debit = quota.reserve(call_id=call.id, app=app, api=call.api, images=images, at=at)
    return call


def served(app: App, at: datetime) -> UUID:
    call = held(app, at)
    calls.succeed(call, at)
    return call.id


def failed(app: App, at: datetime) -> UUID:
    call = CallContext(
        calls.new_id(at), "face_detect", at, None, key=app.keys.get(), images=3, is_authentic=True
    )
    call.debit = quota.reserve(call_id=call.id, app=app, api=call.api, images=3, at=at)
    calls.fail(call, ApiError(errors.UNDECODABLE, index=1), at)
    return call.id


def test_calls_of_all_kinds_pass_reconcile(app: App, now: datetime) -> None:
    for _ in range(3):
        served(app, now)
        failed(app, now)
    assert breaks() == []
    assert sorted(app.usage.values_list("code", "calls", "images", "units")) == [
        (0, 3, 6, 6),
        (4003, 3, 9, 0),
    ]
    assert quota.remaining(app, "face_detect", now) == 994


@pytest.mark.race
@pytest.mark.parametrize(
    "has_effect", [False, True]
)  # a call without an effect is settled by a single statement
def test_a_call_whose_connection_is_lost_during_the_settle_is_charged_once(
    app: App, now: datetime, monkeypatch: pytest.MonkeyPatch, has_effect: bool
) -> None:
    commits = [(BEFORE_COMMIT, False), (AFTER_COMMIT, False)]
    statements = ((number, is_after) for number in itertools.count(1) for is_after in (False, True))
    cuts = 0
    for ended, (cut_at, is_after) in enumerate(itertools.chain(commits, statements), 1):
        call, line = held(app, now), Line(cut_at, is_after=is_after)
        if has_effect:
            call.effect = lambda at: None
        with line.drawn(monkeypatch):
            assert calls.succeed(call, now) == 2
        assert Debit.objects.get(pk=call.id).state == "settling"
        assert app.usage.get().calls == ended
        assert breaks() == []
        cuts += line.is_cut
        if cut_at > line.statements:
            break
    assert cuts == (6 if has_effect else 2)


def test_each_inconsistency_is_found(app: App, now: datetime) -> None:
    call_id = served(app, now)
    failed(app, now)
    lies = [
        (Call.objects.filter(pk=call_id), {"images": F("images") + 1}),
        (UsageHour.objects.filter(app=app, code=0), {"calls": F("calls") + 1}),
        (UsageHour.objects.filter(app=app, code=4003), {"latency_sum_ms": F("latency_sum_ms") + 1}),
        (Debit.objects.filter(pk=call_id), {"units": 3}),
    ]
    for rows, lie in lies:
        before = rows.values(*lie).get()
        write(rows, lie)
        assert breaks(), lie
        write(rows, before)
        assert breaks() == []


def write(rows: QuerySet[Any], values: dict[str, Any]) -> None:
    """Write rows with disabled triggers, which would protect a settled debit."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        rows.update(**values)


def test_a_call_costs_nothing_unless_its_code_is_0(app: App, now: datetime) -> None:
    call_id = failed(app, now)
    with pytest.raises(IntegrityError, match="call_failed_costs_nothing"), transaction.atomic():
        Call.objects.filter(pk=call_id).update(units=1)


def test_new_ids_are_in_order_of_time_and_unique(now: datetime) -> None:
    ids = [calls.new_id(now) for _ in range(100)]
    assert len(set(ids)) == 100
    assert {found.version for found in ids} == {7}
    later = calls.new_id(datetime.fromtimestamp(now.timestamp() + 1, tz=now.tzinfo))
    assert all(found < later for found in ids)
