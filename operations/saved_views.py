"""Saved views: an operator's own names for the filters of reports and lists. The only writer of SavedView."""

from collections.abc import Iterable
from datetime import datetime
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.models import User
from common.postgresql.clock import now
from console.access import safe_next
from console.confirmation import unconfirmed
from operations.access import OperatorRequest, as_customer, operator
from operations.models import SavedView

PLACES = ("/ops/", "/admin/")
LIMIT = 50  # views per operator
NAME_LENGTH, QUERY_LENGTH = 40, 1000
NOT_SAVED = frozenset({"after", "p", "csrfmiddlewaretoken"})  # the position in a list, and the form's token


def of(owner: User, path: str = "") -> Iterable[SavedView]:
    """Return the operator's views of all pages or of one, ordered by name."""
    found = SavedView.objects.filter(owner=owner)
    return found.filter(path=path) if path else found


def keep(owner: User, name: str, address: str, at: datetime) -> SavedView | None:
    """Save the address under the name, or replace the view of that name; return None above LIMIT.

    Raises ValueError for an address that is not an operators' page, or for an empty name.
    """
    parts = urlsplit(address)
    query = urlencode([pair for pair in parse_qsl(parts.query) if pair[0] not in NOT_SAVED])
    name = " ".join(name.split())[:NAME_LENGTH]
    if not name or not parts.path.startswith(PLACES) or len(query) > QUERY_LENGTH or len(parts.path) > 200:
        raise ValueError(address)
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).only("pk").get(pk=owner.pk)
        others = SavedView.objects.filter(owner=owner).exclude(path=parts.path, name=name)
        if others.count() >= LIMIT:
            return None
        saved, _created = SavedView.objects.update_or_create(
            owner=owner, path=parts.path, name=name, defaults={"query": query, "created_at": at}
        )
    return saved


@require_POST
@operator("ops_reports")
def save(request: OperatorRequest) -> HttpResponse:
    """Save the page from which the form was sent."""
    address = safe_next(request)
    try:
        saved = keep(request.user, request.POST.get("name", ""), address, now())
    except ValueError:
        messages.error(request, _("请填写视图的名称。"))
        return redirect(address or "ops")
    if saved is None:
        messages.error(request, _("最多保存 %(limit)s 个视图，请先删除不再需要的。") % {"limit": LIMIT})
        return redirect(address)
    messages.success(request, _("已保存视图“%(name)s”。") % {"name": saved.name})
    return redirect(saved.href)


@require_POST
@operator("ops_reports")
def delete(request: OperatorRequest, pk: int) -> HttpResponse:
    """Delete one of the operator's own views."""
    view = get_object_or_404(SavedView, pk=pk, owner=request.user)
    question = _("删除视图“%(name)s”？") % {"name": view.name}
    if page := unconfirmed(as_customer(request), question, _("删除")):
        return page
    view.delete()
    messages.success(request, _("已删除视图“%(name)s”。") % {"name": view.name})
    return redirect(safe_next(request) or "ops")
