"""What operators did is in the log stream too, where the database's owner cannot change it."""

import json
import logging
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from pythonjsonlogger.json import JsonFormatter

from accounts import audit
from accounts.models import User

pytestmark = pytest.mark.django_db


def test_a_committed_entry_is_one_structured_line(
    alice: User,
    bob: User,
    now: datetime,
    caplog: pytest.LogCaptureFixture,
    django_capture_on_commit_callbacks: Any,
) -> None:
    caplog.set_level(logging.INFO, logger="facecloud.audit")
    details = {"amount": Decimal("5.00"), "until": now}
    with django_capture_on_commit_callbacks(execute=True):
        entry = audit.record(
            "top-up", alice, by=bob, reason="by phone", at=now, customer=alice, address="203.0.113.5",
            details=details,
        )  # fmt: skip
    (record,) = caplog.records
    line = json.loads(JsonFormatter().format(record))
    assert line.items() >= {
        "message": "audit", "entry": entry.pk, "by": "bob", "act": "top-up", "subject": "user",
        "subject_id": str(alice.pk), "customer": "alice", "reason": "by phone", "address": "203.0.113.5",
    }.items()  # fmt: skip
    assert line["details"]["amount"] in ("5.00", 5.0)


def test_a_rolled_back_entry_is_not_logged(
    alice: User,
    bob: User,
    now: datetime,
    caplog: pytest.LogCaptureFixture,
    django_capture_on_commit_callbacks: Any,
) -> None:
    caplog.set_level(logging.INFO, logger="facecloud.audit")
    with django_capture_on_commit_callbacks() as callbacks:
        try:
            with transaction.atomic():
                audit.record("top-up", alice, by=bob, reason="by phone", at=now)
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
    assert callbacks == []
    assert caplog.records == []
