"""The audit log: who did what, when, from which address, to which object, and an operator's reason.

Append-only; a trigger rejects UPDATE and DELETE. An action and its entry are written in one transaction, so
neither exists without the other. After the commit the entry is also written to the log stream.
"""

import logging
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from django.db import models, transaction

from accounts import own_account
from accounts.errors import RuleError
from accounts.models import AuditEntry, User
from accounts.models.operators import REASON_LENGTH

NO_REASON = "–"  # of customers' acts; shown like an empty column in every language

logger = logging.getLogger("facecloud.audit")


def record(
    act: str,
    subject: models.Model,
    *,
    by: User,
    reason: str,
    at: datetime,
    customer: User | None = None,
    address: str | None = None,
    token: UUID | None = None,
    details: Mapping[str, object] | None = None,
) -> AuditEntry:
    """Write an audit entry in the transaction of the action.

    Raises RuleError `reason_missing` without a reason and `own_account` if `by` is the customer, and
    IntegrityError if `token` was used, so that the caller's transaction rolls the repeated action back.
    """
    reason = reason.strip()[:REASON_LENGTH]
    if not reason:
        raise RuleError("reason_missing")
    own_account.refuse(customer, by)
    return _write(
        act,
        subject,
        by=by,
        at=at,
        address=address,
        customer=customer,
        reason=reason,
        token=token or uuid4(),
        details=dict(details or {}),
    )


def record_own(
    act: str,
    subject: models.Model,
    *,
    by: User,
    at: datetime,
    address: str | None,
    details: Mapping[str, object] | None = None,
) -> AuditEntry:
    """Write an audit entry of a customer's act on the own account, for which no reason is asked."""
    details = dict(details or {})
    return _write(act, subject, by=by, at=at, address=address, customer=by, reason=NO_REASON, details=details)


def _write(act: str, subject: models.Model, **columns: Any) -> AuditEntry:
    kind = subject._meta.label_lower.rpartition(".")[2]
    entry = AuditEntry.objects.create(act=act, subject=kind, subject_id=str(subject.pk), **columns)
    transaction.on_commit(partial(_log, entry))
    return entry


def _log(entry: AuditEntry) -> None:
    """Write the entry to the log stream too, where someone who can alter the table cannot reach it."""
    logger.info(
        "audit",
        extra={
            "entry": entry.pk,
            "by": entry.by.username,
            "address": entry.address,
            "act": entry.act,
            "subject": entry.subject,
            "subject_id": entry.subject_id,
            "customer": entry.customer.username if entry.customer else None,
            "reason": entry.reason,
            "details": entry.details,
        },
    )
