"""How operators' pages write what only they show."""

from django import template

from accounts.audit import AuditEntry
from console.ops.acts import ACTS

register = template.Library()


@register.filter
def act_label(entry: AuditEntry) -> str:
    """The act's name in the reader's language; one that is no longer known keeps its code."""
    act = ACTS.get(entry.act)
    return str(act.label) if act else entry.act
