"""The catalogue, how operators change it, and the history of changes; writes Sku, Duration and Region.

An edit of Skus may take effect later: it is stored as a ScheduledChange, which `apply_due` applies. That runs
every minute and before each order, so that an order after the effective time has the new price.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction

from accounts.models import Region, User
from billing.errors import ChangedMeanwhile, ChangeRefused
from billing.models import Api, CatalogueChange, Duration, ScheduledChange, Sku
from billing.reasons import reason_of

log = logging.getLogger(__name__)

type_of_subject: dict[str, type[models.Model]] = {"sku": Sku, "duration": Duration, "region": Region}
_FIELDS = {
    "sku": ("price", "units_per_month", "meter", "on_sale"),
    "duration": ("is_active",),
    "region": ("name", "name_en", "is_active", "position", "queue"),
}


def skus_on_sale() -> "models.QuerySet[Sku]":
    """Return what can be ordered now; 人脸搜索 only if the gallery is enabled in this installation."""
    on_sale = Sku.objects.filter(on_sale=True)
    return on_sale if settings.GALLERY else on_sale.exclude(api=Api.FACE_SEARCH)


def apis_on_offer() -> list[tuple[str, str]]:
    """Return the APIs of this installation with their labels."""
    return [(api, str(label)) for api, label in Api.choices if settings.GALLERY or api != Api.FACE_SEARCH]


def amount(price: Decimal, quantity: int, months: int) -> Decimal:
    """Return the amount of an order in yuan, to the fen: price of one month x quantity x months."""
    return (price * quantity * months).quantize(Decimal("0.01"))


def yuan(value: Decimal) -> str:
    """Format an amount with two decimals: ¥1,234.50, and -¥1,234.50 if it is negative."""
    return f"{'-' if value < 0 else ''}¥{abs(value):,.2f}"


def _subject(row: models.Model) -> str:
    return next(name for name, model in type_of_subject.items() if isinstance(row, model))


@transaction.atomic
def change(
    row: Sku | Duration | Region,
    fields: Mapping[str, object],
    *,
    by: User,
    reason: str,
    at: datetime,
    seen: Mapping[str, object] = MappingProxyType({}),
) -> None:
    """Set the fields that differ, and record who changed what, when and why, in one transaction.

    `seen` has the values that the operator saw, by field. Existing orders keep their price, units and meter.
    Raises ReasonMissing, ChangeRefused, and ChangedMeanwhile if a field no longer has its seen value.
    """
    reason = reason_of(reason)
    subject = _subject(row)
    for field, value in fields.items():
        if field not in _FIELDS[subject]:
            raise ChangeRefused(field=field, value=value)
    current = type(row).objects.select_for_update().get(pk=row.pk)
    for field, value in seen.items():
        if field in fields and getattr(current, field) != value:
            raise ChangedMeanwhile(field=field)
    before = {field: getattr(current, field) for field in fields}
    for field, value in fields.items():
        setattr(current, field, value)
    _check(current)
    after = {field: getattr(current, field) for field in fields}
    changes = [(field, before[field], after[field]) for field in fields if before[field] != after[field]]
    _save(current, update_fields=[field for field, _before, _after in changes])
    _write(subject, current.pk, changes, by=by, reason=reason, at=at)
    row.refresh_from_db()


def lock(skus: Iterable[int]) -> None:
    """Lock these Skus (pk), which are then changed one by one, in the same order as everybody else."""
    list(Sku.objects.select_for_update().filter(pk__in=set(skus)).order_by("pk").values_list("pk"))


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one field of a Sku, with its old and its new value."""

    sku: Sku
    field: str
    before: object
    after: object


def edits(wanted: Mapping[int, Mapping[str, object]]) -> list[Edit]:
    """Compare values by Sku (pk) and field with the catalogue, and return those that differ.

    Raises ChangeRefused if a value is invalid.
    """
    found = []
    for sku in Sku.objects.filter(pk__in=wanted).order_by("api", "units_per_month"):
        differ = [
            Edit(sku, field, getattr(sku, field), value)
            for field, value in wanted[sku.pk].items()
            if getattr(sku, field) != value
        ]
        if not differ:
            continue
        changed = copy(sku)
        for edit in differ:
            setattr(changed, edit.field, edit.after)
        _check(changed)
        found += differ
    return found


@transaction.atomic
def schedule(
    wanted: Sequence[Edit], effective_at: datetime, *, by: User, reason: str, at: datetime
) -> list[ScheduledChange]:
    """Schedule edits for `effective_at`; they replace scheduled edits of the same field and time.

    Raises ReasonMissing, ChangeRefused.
    """
    reason = reason_of(reason)
    if effective_at <= at:
        raise ChangeRefused(field="effective_at", value=effective_at)
    for edit in wanted:
        if edit.field not in _FIELDS["sku"]:
            raise ChangeRefused(field=edit.field, value=edit.after)
        same = _pending().filter(sku=edit.sku, field=edit.field, effective_at=effective_at)
        same.update(cancelled_at=at, cancelled_by=by)
    return ScheduledChange.objects.bulk_create(
        ScheduledChange(
            sku=edit.sku, field=edit.field, before=str(edit.before)[:100], after=str(edit.after)[:100],
            effective_at=effective_at, by=by, reason=reason, created_at=at,
        )
        for edit in wanted
    )  # fmt: skip


def scheduled() -> "models.QuerySet[ScheduledChange]":
    """Return the scheduled changes, the soonest first."""
    return _pending().select_related("sku", "by").order_by("effective_at", "pk")


def _pending() -> "models.QuerySet[ScheduledChange]":
    return ScheduledChange.objects.filter(applied_at=None, cancelled_at=None)


def cancel_scheduled(pk: int, *, by: User, at: datetime) -> ScheduledChange | None:
    """Cancel a scheduled change and return it; None if it no longer exists."""
    if not _pending().filter(pk=pk, effective_at__gt=at).update(cancelled_at=at, cancelled_by=by):
        return None
    return ScheduledChange.objects.select_related("sku").get(pk=pk)


def apply_due(at: datetime) -> int:
    """Apply the scheduled changes that are due, in order, and return their number.

    A change that is no longer valid then is cancelled, with the reason in `failure`.
    """
    if not _pending().filter(effective_at__lte=at).exists():
        return 0
    with transaction.atomic():
        due = list(
            _pending()
            .filter(effective_at__lte=at)
            .select_for_update(of=("self",))
            .select_related("sku", "by")
            .order_by("effective_at", "pk")
        )
        lock(one.sku_id for one in due)
        together: dict[tuple[datetime, int], list[ScheduledChange]] = defaultdict(list)
        for one in due:
            together[one.effective_at, one.sku_id].append(one)
        for (effective_at, _sku), rows in together.items():
            _apply(rows, effective_at, at)
    return len(due)


def _apply(rows: list[ScheduledChange], effective_at: datetime, at: datetime) -> None:
    """Apply the changes of one Sku that have the same effective time."""
    first = rows[0]
    mine = ScheduledChange.objects.filter(pk__in=[row.pk for row in rows])
    try:
        values = {row.field: _value(row.field, row.after) for row in rows}
        change(first.sku, values, by=first.by, reason=first.reason, at=effective_at)
    except ChangeRefused as refusal:
        log.error("a scheduled change of %s was refused: %s", first.sku, refusal.details)
        mine.update(cancelled_at=at, failure=str(refusal.details.get("value"))[:200])
    else:
        mine.update(applied_at=at)


def _value(name: str, text: str) -> object:
    """Parse the text of a value in a ScheduledChange. Raises ChangeRefused."""
    field = next(field for field in Sku._meta.concrete_fields if field.name == name)
    try:
        return field.to_python(text)
    except ValidationError as error:
        raise ChangeRefused(field=name, value=text) from error


def _check(row: Sku | Duration | Region) -> None:
    """Validate the row: fields, uniqueness and the CHECKs of the database. Raises ChangeRefused."""
    try:
        row.full_clean()
    except ValidationError as error:
        raise ChangeRefused(field=", ".join(error.message_dict), value="; ".join(error.messages)) from error


def _save(row: Sku | Duration | Region, **options: Any) -> None:
    """Save the row. Raises ChangeRefused if a concurrent edit broke a unique constraint."""
    try:
        with transaction.atomic():
            row.save(**options)
    except IntegrityError as error:
        raise ChangeRefused(field="unique", value=str(row)) from error


@transaction.atomic
def add(row: Sku | Duration | Region, *, by: User, reason: str, at: datetime) -> None:
    """Add a row to the catalogue, with its history. Raises ReasonMissing, ChangeRefused."""
    reason = reason_of(reason)
    _check(row)
    _save(row, force_insert=True)
    _write(_subject(row), row.pk, [("", "", row)], by=by, reason=reason, at=at)


def _write(
    subject: str,
    subject_id: int,
    changes: list[tuple[str, object, object]],
    *,
    by: User,
    reason: str,
    at: datetime,
) -> None:
    CatalogueChange.objects.bulk_create(
        CatalogueChange(
            at=at, by=by, subject=subject, subject_id=subject_id, field=field, reason=reason,
            before=str(before)[:100], after=str(after)[:100],
        )
        for field, before, after in changes
    )  # fmt: skip
