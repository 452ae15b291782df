"""Template tags of the API explorer."""

from django import template

from console.explorer import hints

register = template.Library()


@register.filter
def hint(path: str) -> str:
    """Return the hint for a property of a request."""
    return hints.hint(path)


@register.filter
def field_id(name: str) -> str:
    """Return the id of a field's control, without dots, which would need escapes in selectors."""
    return "f-" + name.replace(".", "-")


@register.filter
def is_number(label: str) -> bool:
    """Return whether a label is only the number of an entry."""
    return label.isdecimal()
