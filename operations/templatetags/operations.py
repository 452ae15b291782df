"""Template tags of the operators' pages."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django import template
from django.db.models import Model
from django.template import Context
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from accounts.models import AuditEntry, User
from operations import audit_labels
from operations.actions.registry import available_actions
from operations.actions.subjects import about, kind_named
from operations.catalogue_labels import yes_or_no
from operations.saved_views import of as views_of

register = template.Library()
BUTTONS = 2  # per row; if there are more actions, all but the first are in a menu


@register.inclusion_tag("operations/actions/offers.html", takes_context=True)
def acts_on(context: Context, subject: Model) -> dict[str, Any]:
    """Render the actions available for the subject: one or two buttons, and a menu of the rest."""
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
    """Render the operator's saved views of this page, and the form to save another."""
    request = context["request"]
    here = request.get_full_path()
    found = [(view, view.href == here) for view in views_of(request.user, request.path)]
    return {"views": found, "here": here, "csrf_token": context.get("csrf_token")}


@register.filter
def mail_address(customer: User) -> str:
    """Return the customer's e-mail address, and whether it still has to be verified."""
    if customer.email_verified_at or not customer.email:
        return customer.email
    return _("%(address)s（未验证）") % {"address": customer.email}


@register.filter
def granted(may: Mapping[str, bool], permission: str) -> bool:
    """Return whether the operator has the permission."""
    return bool(may[permission])


@register.filter
def labelled(cells: Sequence[SafeString], headers: Sequence[Mapping[str, Any]]) -> list[SafeString]:
    """Return the cells of a row of Django's admin, each with its column's label for narrow screens."""
    names = [format_html(' data-label="{}"', capfirst(header["text"])) for header in headers]
    return [
        worded(mark_safe(f"{cell[:3]}{name}{cell[3:]}"))  # noqa: S308 - "<td" or "<th"; the name is escaped above
        for name, cell in zip(names, cells, strict=True)
    ]


# Django's admin renders a boolean as a picture whose alternative text is True, False or None.
BOOLEAN = re.compile(r'<img src="[^"]*" alt="(True|False|None)">')


@register.filter
def worded(html: SafeString) -> SafeString:
    """Return the admin's HTML of a field, with pictures of booleans replaced by words."""
    words = {"True": yes_or_no(True), "False": yes_or_no(False), "None": "–"}
    shown = BOOLEAN.sub(lambda found: words[found[1]], str(html))
    return mark_safe(shown) if hasattr(html, "__html__") else format_html("{}", shown)  # noqa: S308 - as it was


@register.filter
def act_label(entry: AuditEntry) -> str:
    """Return the name of an action in the reader's language; its code if it no longer exists."""
    return audit_labels.act_label(entry.act)


@register.filter
def kind_label(entry: AuditEntry) -> str:
    """Return the word for what an action was done to: 用户, 应用."""
    return kind_named(entry.subject)
