"""The catalogue, how operators change it, and the history of changes; writes Sku, Duration and Region."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction

from accounts.models import Region, User
from billing.errors import ChangeRefused
from billing.models import Api, CatalogueChange, Duration, Sku
from billing.reasons import reason_of

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
    row: Sku | Duration | Region, fields: Mapping[str, object], *, by: User, reason: str, at: datetime
) -> None:
    """Set the fields that differ, and record who changed what, when and why, in one transaction.

    Existing orders keep their price, units and meter. Raises ReasonMissing, ChangeRefused.
    """
    reason = reason_of(reason)
    subject = _subject(row)
    for field, value in fields.items():
        if field not in _FIELDS[subject]:
            raise ChangeRefused(field=field, value=value)
    current = type(row).objects.select_for_update().get(pk=row.pk)
    before = {field: getattr(current, field) for field in fields}
    for field, value in fields.items():
        setattr(current, field, value)
    _check(current)
    after = {field: getattr(current, field) for field in fields}
    changes = [(field, before[field], after[field]) for field in fields if before[field] != after[field]]
    _save(current, update_fields=[field for field, _before, _after in changes])
    _write(subject, current.pk, changes, by=by, reason=reason, at=at)
    row.refresh_from_db()


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
