"""How operators' pages write what only they show."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django import template
from django.db.models import Model
from django.template import Context
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst

from accounts.models import AuditEntry
from operations import audit_labels
from operations.actions import about, available_actions
from operations.catalogue_words import yes_or_no
from operations.saved_views import of as views_of

register = template.Library()
BUTTONS = 2  # beside a row: with more than these, all but the first are in a menu


@register.inclusion_tag("operations/offers.html", takes_context=True)
def acts_on(context: Context, subject: Model) -> dict[str, Any]:
    """Render what this operator may do to the subject now: one or two buttons, and a menu of the rest."""
    request = context["request"]
    offers = available_actions(request.user, subject)
    shown = len(offers) if len(offers) <= BUTTONS else 1
    return {
        "offers": offers,
        "first": offers[:shown],
        "more": offers[shown:],
        "menu": f"acts-{subject._meta.model_name}-{subject.pk}",
        "about": about(subject),
        "back": request.get_full_path(),
    }


@register.inclusion_tag("operations/saved_views.html", takes_context=True)
def saved_views(context: Context) -> dict[str, Any]:
    """Render the operator's saved views of this page, and the form that saves another."""
    request = context["request"]
    here = request.get_full_path()
    found = [(view, view.href == here) for view in views_of(request.user, request.path)]
    return {"views": found, "here": here, "csrf_token": context.get("csrf_token")}


@register.filter
def granted(may: Mapping[str, bool], permission: str) -> bool:
    """Return whether the operator holds the permission."""
    return bool(may[permission])


@register.filter
def labelled(cells: Sequence[SafeString], headers: Sequence[Mapping[str, Any]]) -> list[SafeString]:
    """Return the cells of a line of Django's admin, each with its column's name for narrow screens."""
    names = [format_html(' data-label="{}"', capfirst(header["text"])) for header in headers]
    return [
        worded(mark_safe(f"{cell[:3]}{name}{cell[3:]}"))  # noqa: S308 - "<td" or "<th"; the name is escaped above
        for name, cell in zip(names, cells, strict=True)
    ]


# What Django's admin writes for a boolean: a picture whose alternative text is a word of Python.
BOOLEAN = re.compile(r'<img src="[^"]*" alt="(True|False|None)">')


@register.filter
def worded(html: SafeString) -> SafeString:
    """Return what the admin wrote for a field, with words for its pictures of booleans."""
    words = {"True": yes_or_no(True), "False": yes_or_no(False), "None": "–"}
    shown = BOOLEAN.sub(lambda found: words[found[1]], str(html))
    return mark_safe(shown) if hasattr(html, "__html__") else format_html("{}", shown)  # noqa: S308 - as it was


@register.filter
def act_label(entry: AuditEntry) -> str:
    """Return the name of an action in the reader's language; its code if it no longer exists."""
    return audit_labels.act_label(entry.act)
