"""The operators' actions. An action has a permission, a form, a rule of a lower room and an audit entry.

The rule and its entry share one transaction. A form that is sent repeatedly is performed once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, models, transaction
from django.urls import reverse
from django.utils.functional import Promise

from accounts import audit
from accounts.errors import RuleError
from accounts.models import AuditEntry, PendingAct, User
from billing.errors import BillingError
from operations.actions import action_forms, restrictions, subjects
from operations.error_messages import sentence

Details = Mapping[str, object]


@dataclass(frozen=True)
class Action:
    """A kind of action. `run` performs it and returns the details for the audit log.

    `is_available` returns whether it can be performed on a subject now. An action that `creates` its subject
    is run with None, and returns the new row and the details.
    """

    name: str
    label: Promise
    permission: str
    model: type[models.Model]
    form: type[action_forms.ActionForm]
    run: Callable[[Any, dict[str, Any], User, datetime], Any]
    consequence: Promise
    is_available: Callable[[Any], bool] = lambda subject: True
    is_destructive: bool = False
    creates: bool = False
    asks: bool = False  # for confirmation on a separate page; destructive actions always do


@dataclass(frozen=True, slots=True)
class AvailableAction:
    """An action that this operator may perform on this subject now."""

    act: Action
    subject: models.Model

    @property
    def href(self) -> str:
        return reverse("ops_act", args=[self.act.name, self.subject.pk])


class Refused(Exception):
    """The rule rejected the action; the message is in the reader's language."""


class DoneBefore(Exception):
    """This form was already performed."""


class NeedsApproval(Exception):
    """The amount, `worth` in yuan, is above the limit of one operator."""

    def __init__(self, worth: Decimal) -> None:
        super().__init__(str(worth))
        self.worth = worth


def perform(
    act: Action,
    subject: models.Model | None,
    cleaned: dict[str, Any],
    *,
    by: User,
    at: datetime,
    address: str | None,
    approves: PendingAct | None = None,
) -> models.Model:
    """Perform the action and record it in one transaction; return the subject.

    `approves` is the request of another operator, which `by` approves; its amount counts towards the limit of
    the one who made the request. Raises Refused, DoneBefore, NeedsApproval.
    """
    worth = restrictions.worth(act.name, subject, cleaned)
    try:
        with transaction.atomic():
            customer = subjects.customer_of(subject)
            for operator in (by, approves.by) if approves else (by,):
                restrictions.check(customer, operator)
            if (
                worth is not None
                and approves is None
                and restrictions.needs_a_second_operator(worth, customer, by, at)
            ):
                raise NeedsApproval(worth)
            done = act.run(subject, cleaned, approves.by if approves else by, at)
            if subject is None:
                subject, done = done
            details = dict(done)
            if worth is not None:
                details["worth"] = worth
            if approves is not None:
                details |= {"request": approves.pk, "requested_by": approves.by.username}
            audit.record(
                act.name,
                subject,
                by=by,
                reason=cleaned["reason"],
                at=at,
                customer=subjects.customer_of(subject),
                address=address,
                token=cleaned["token"],
                details=details,
            )
    except (BillingError, RuleError) as error:
        raise Refused(sentence(error)) from error
    except IntegrityError as error:
        if AuditEntry.objects.filter(token=cleaned["token"]).exists():
            raise DoneBefore from error
        raise
    return subject
