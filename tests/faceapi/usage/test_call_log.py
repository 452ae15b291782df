"""The call log: pages by key, filters, and no call of another customer."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection, transaction

from accounts.applications import create_app
from accounts.models import App, User
from faceapi import calls
from faceapi.models import Call
from faceapi.usage import call_log
from faceapi.usage.call_log import Cursor, Filter

Record = Callable[..., Call]


@pytest.fixture
def record(app: App) -> Record:
    """Write a call as the product does, without its debit."""

    def write(at: datetime, *, code: int = 0, latency_ms: int = 40, api: str = "face_detect") -> Call:
        return Call.objects.create(
            id=calls.new_id(at),
            app=app,
            app_key=app.keys.get(),
            region=app.region,
            api=api,
            at=at,
            code=code,
            http_status=200,
            latency_ms=latency_ms,
        )

    return write


def around(at: datetime, **more: object) -> Filter:
    return Filter(at - timedelta(days=1), at + timedelta(days=1), **more)


def test_pages_have_no_gaps_or_duplicates(app: App, now: datetime, record: Record) -> None:
    """Many calls have the same millisecond, so the time alone does not distinguish them."""
    made = [record(now + timedelta(seconds=number // 5)) for number in range(23)]
    seen: list[Call] = []
    after = None
    while page := call_log.find([app], around(now), 4, after):
        seen += page
        after = Cursor.parse(str(Cursor.of(page[-1])))
    assert seen == sorted(made, key=lambda call: (call.at, call.pk), reverse=True)
    assert list(call_log.each([app], around(now), 100)) == seen
    assert list(call_log.each([app], around(now), 7)) == seen[:7]


def test_a_range_includes_its_start_and_excludes_its_end(app: App, now: datetime, record: Record) -> None:
    end = now + timedelta(minutes=1)
    inside = [record(now), record(end - timedelta(microseconds=1))]
    record(now - timedelta(microseconds=1))
    record(end)
    assert set(call_log.find([app], Filter(now, end), 10)) == set(inside)


@pytest.mark.parametrize(
    ("chosen", "count"),
    [
        ({}, 4),
        ({"code": "0"}, 2),
        ({"code": call_log.FAILED}, 2),
        ({"code": "4104"}, 1),
        ({"slow_ms": 3000}, 1),
        ({"api": "face_compare"}, 1),
        ({"api": "face_compare", "code": "4104"}, 0),
    ],
)
def test_calls_are_filtered(
    app: App, now: datetime, record: Record, chosen: dict[str, object], count: int
) -> None:
    record(now)
    record(now, latency_ms=3000, api="face_compare")
    record(now, code=4104)
    record(now, code=4202, latency_ms=2999)
    assert len(call_log.find([app], around(now, **chosen), 10)) == count


def test_another_customers_call_is_not_found(app: App, now: datetime, record: Record) -> None:
    call = record(now)
    bob = User.objects.create(username="bob", email="bob@example.org")
    other_app = create_app(customer=bob, region=app.region, name="x", description="x", at=now)
    assert call_log.find([other_app], around(now), 10) == []
    assert call_log.one([other_app], str(call.pk)) is None
    assert call_log.one([app], f" {call.pk} ") == call
    assert call_log.one([app], "not-an-id") is None
    assert call_log.one([app], str(uuid4())) is None


@pytest.mark.parametrize("text", ["", "x", "2026-11-28_", "2026-11-28T10:00:00_" + "0" * 32, "_" * 100])
def test_a_malformed_cursor_is_ignored(text: str) -> None:
    assert Cursor.parse(text) is None


def test_the_indexes_of_failed_and_slow_calls_are_used(app: App, now: datetime, record: Record) -> None:
    """Their conditions follow from those of the query, whatever its values."""
    for number in range(60):  # enough rows for the planner to prefer the right index
        record(now + timedelta(seconds=number))
    record(now, code=4104)
    record(now, latency_ms=30000)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ANALYZE faceapi_call")
        cursor.execute("SET LOCAL enable_seqscan = off")  # a table of so few pages would be scanned
        for condition, index in (
            ("code = 4104 AND code <> 0", "call_app_failed"),
            ("latency_ms >= 1000 AND latency_ms >= 30000", "call_app_slow"),
        ):
            cursor.execute(
                f"EXPLAIN SELECT * FROM faceapi_call WHERE app_id = %s AND {condition}"
                " ORDER BY at DESC LIMIT 5",
                [app.pk],
            )
            assert index in str(cursor.fetchall())
