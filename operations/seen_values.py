"""Forms that edit a row of the catalogue send along the values that they showed.

So only fields that the operator changed are written, and never over a change that they have not seen.
"""

from collections.abc import Iterable

from django import forms
from django.core.exceptions import ValidationError


def send_along(fields: Iterable[forms.Field]) -> None:
    """Send the initial value of each field in a hidden control."""
    for field in fields:
        field.show_hidden_initial = True


def seen(form: forms.BaseForm, name: str) -> object:
    """Return the value that the form showed; the initial one if the request does not have it."""
    bound = form[name]
    sent = form.data.get(bound.html_initial_name)
    if sent is None:
        return bound.initial
    try:
        return bound.field.to_python(sent)
    except ValidationError:
        return None
