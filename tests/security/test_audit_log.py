"""What operators did is in the log stream too, where the database's owner cannot change it."""

import json
import logging
from datetime import datetime
from decimal import Decimal

import pytest
from django.db import transaction
from pythonjsonlogger.json import JsonFormatter

from accounts import audit
from accounts.models import User

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_committed_entry_is_one_structured_line(
    alice: User, bob: User, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="facecloud.audit")
    details = {"amount": Decimal("5.00"), "until": now}
    entry = audit.record(
        "top-up",
        alice,
        by=bob,
        reason="by phone",
        at=now,
        customer=alice,
        address="203.0.113.5",
        details=details,
    )
    (record,) = caplog.records
    line = json.loads(JsonFormatter().format(record))
    assert line.items() >= {
        "message": "audit", "entry": entry.pk, "by": "bob", "act": "top-up", "subject": "user",
        "subject_id": str(alice.pk), "customer": "alice", "reason": "by phone", "address": "203.0.113.5",
    }.items()  # fmt: skip
    assert line["details"]["amount"] in ("5.00", 5.0)


def test_what_was_rolled_back_is_no_line(
    alice: User, bob: User, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="facecloud.audit")
    with transaction.atomic():
        audit.record("top-up", alice, by=bob, reason="by phone", at=now)
        transaction.set_rollback(True)
    assert caplog.records == []
