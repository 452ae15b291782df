"""Columns of the records for amounts and counts, with thousands separators."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.core.exceptions import FieldDoesNotExist
from django.db import models

from console.templatetags.show import count, yuan


def with_separators(model: type[models.Model], column: Any) -> Any:
    """Return a function that formats the amounts or counts of a column; any other column as it is.

    Codes, numbers and positions are small integers: they get no separators.
    """
    try:
        field = model._meta.get_field(str(column))
    except FieldDoesNotExist:
        return column
    if isinstance(field, models.DecimalField):
        return _shown(field, yuan)
    if isinstance(field, models.PositiveIntegerField | models.PositiveBigIntegerField):
        return _shown(field, count)
    return column


def _shown(field: "models.Field[Any, Any]", to_text: Callable[[Any], str]) -> Callable[[Any], str]:
    @admin.display(description=field.verbose_name, ordering=field.name)
    def shown(row: Any) -> str:
        value = getattr(row, field.name)
        return "–" if value is None else to_text(value)

    shown.__name__ = field.name  # the column's CSS class, and its name in `sortable_by`
    return shown
