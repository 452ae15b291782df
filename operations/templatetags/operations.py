"""How operators' pages write what only they show."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import template
from django.db.models import Model
from django.template import Context
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst

from accounts.models import AuditEntry
from operations.actions import ACTIONS, available_actions
from operations.approvals import LABELS

register = template.Library()


@register.inclusion_tag("operations/offers.html", takes_context=True)
def acts_on(context: Context, subject: Model) -> dict[str, Any]:
    """Links to what this operator may do to the subject now, and back to this page."""
    request = context["request"]
    return {"offers": available_actions(request.user, subject), "back": request.get_full_path()}


@register.filter
def labelled(cells: Sequence[SafeString], headers: Sequence[Mapping[str, Any]]) -> list[SafeString]:
    """Return the cells of a line of Django's admin, each with its column's name for narrow screens."""
    names = [format_html(' data-label="{}"', capfirst(header["text"])) for header in headers]
    return [
        mark_safe(f"{cell[:3]}{name}{cell[3:]}")  # noqa: S308 - "<td" or "<th"; the name is escaped above
        for name, cell in zip(names, cells, strict=True)
    ]


@register.filter
def act_label(entry: AuditEntry) -> str:
    """Return the name of an action in the reader's language; its code if it no longer exists."""
    act = ACTIONS.get(entry.act)
    return str(act.label if act else LABELS.get(entry.act, entry.act))
