"""Labels of fields and values of the catalogue, for its history and the audit log."""

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import models
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from billing import catalogue
from billing.models import Meter
from console.templatetags.show import count, money


def yes_or_no(value: object) -> str:
    return _("是") if value else _("否")


def label_of(subject: str, field: str) -> str:
    """Return the label of a field of a catalogue row; "" for the addition of a row."""
    found = _field(subject, field)
    return capfirst(str(found.verbose_name)) if found is not None else field


def text_of(subject: str, field: str, value: object) -> str:
    """Format a value of a field; the history stores values as text."""
    found = _field(subject, field)
    if found is None:
        return str(value)
    try:
        value = found.to_python(value)
    except ValidationError:
        return str(value)
    if isinstance(found, models.BooleanField):
        return yes_or_no(value)
    match field:
        case "price":
            return money(value)
        case "meter":
            return str(Meter(value).label) if value in Meter.values else str(value)
    return count(value) if isinstance(value, int) else str(value)


def _field(subject: str, name: str) -> "models.Field[object, object] | None":
    model = catalogue.type_of_subject.get(subject)
    if model is None or not name:
        return None
    try:
        field = model._meta.get_field(name)
    except FieldDoesNotExist:
        return None
    return field if isinstance(field, models.Field) else None
