"""How the fields of the API explorer are written."""

from django import template

from console.explorer import words

register = template.Library()


@register.filter
def hint(path: str) -> str:
    """Return the words for a property of a request."""
    return words.hint(path)


@register.filter
def field_id(name: str) -> str:
    """Return the id of the control of a field: dots would need escapes in selectors."""
    return "f-" + name.replace(".", "-")


@register.filter
def is_number(label: str) -> bool:
    """Whether a label is only the number of an entry."""
    return label.isdecimal()
