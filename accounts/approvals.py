"""Four-eyes approval: actions above an amount wait for a second operator. The only writer of PendingAct.

A pending action keeps the submitted form. It is carried out when another operator who has the permission for
it approves it, which is possible until `expires_at`.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import models

from accounts.errors import RuleError
from accounts.models import PendingAct, User
from accounts.models.operators import State


def pending(at: datetime) -> "models.QuerySet[PendingAct]":
    """Return the actions that can still be decided, newest first."""
    return PendingAct.objects.filter(state=State.PENDING, expires_at__gt=at)


def request(
    act: str,
    *,
    subject_id: int | None,
    customer: User | None,
    worth: Decimal,
    form: dict[str, Any],
    reason: str,
    token: UUID,
    by: User,
    at: datetime,
) -> PendingAct:
    """Store an action for approval by a second operator. Raises IntegrityError if `token` was used."""
    return PendingAct.objects.create(
        act=act,
        subject_id=subject_id,
        customer=customer,
        worth=worth,
        form=form,
        reason=reason,
        token=token,
        by=by,
        requested_at=at,
        expires_at=at + settings.APPROVAL_TIME,
    )


def decide(pk: int, state: State, *, by: User, at: datetime) -> PendingAct:
    """Approve, decline or withdraw a pending action, once, in the caller's transaction.

    Raises RuleError `not_pending`, `own_request` or `own_account`.
    """
    found = pending(at).select_for_update(of=("self",)).select_related("by", "customer").filter(pk=pk).first()
    if found is None:
        raise RuleError("not_pending")
    if state is State.APPROVED and found.by_id == by.pk:
        raise RuleError("own_request")
    if state is not State.WITHDRAWN and found.customer_id == by.pk:
        raise RuleError("own_account")
    found.state, found.decided_by, found.decided_at = state, by, at
    found.save(update_fields=["state", "decided_by", "decided_at"])
    return found
