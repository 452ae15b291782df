"""The records as CSV: the rows and columns of the filtered list."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import label_for_field, lookup_field
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from operations.catalogue_labels import yes_or_no

ROWS = 50_000  # per file
BATCH = 1_000


def lines(records: "admin.ModelAdmin[Any]", found: "models.QuerySet[Any]") -> Iterator[list[object]]:
    """Yield the heading and then the rows, at most ROWS; times are local, to the second."""
    names = [str(name) for name in records.list_display]
    yield [_head(records, name) for name in names]
    for row in found[:ROWS].iterator(chunk_size=BATCH):
        yield [_plain(records, name, row) for name in names]


def _head(records: "admin.ModelAdmin[Any]", name: str) -> str:
    label = capfirst(str(label_for_field(name, records.model, model_admin=records)))
    try:
        is_time = isinstance(records.model._meta.get_field(name), models.DateTimeField)
    except FieldDoesNotExist:
        is_time = False
    return _("%(label)s（UTC+8）") % {"label": label} if is_time else label


def _plain(records: "admin.ModelAdmin[Any]", name: str, row: Any) -> object:
    field, _attribute, value = lookup_field(name, row, records)
    if value is None:
        return ""
    if isinstance(value, bool):
        return yes_or_no(value)
    if field is not None and getattr(field, "flatchoices", None):
        return str(dict(field.flatchoices).get(value, value))
    if isinstance(value, datetime):
        return timezone.localtime(value).strftime("%Y-%m-%d %H:%M:%S")
    return value if isinstance(value, int | float | Decimal) else str(value)
