"""/ops/prices/: edit all Skus in one table, with a preview and an optional effective time."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4, uuid5

from django import forms
from django.contrib import messages
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from accounts import audit
from accounts.models import AuditEntry
from accounts.models.operators import REASON_LENGTH
from billing import catalogue
from billing.catalogue import Edit
from billing.errors import BillingError, ChangedMeanwhile
from billing.models import CatalogueChange, ScheduledChange, Sku
from common.client_address import client_address
from common.postgresql.clock import now
from console.confirmation import CONFIRMED, unconfirmed
from console.views.calls import MinuteField
from operations import seen_values
from operations.access import OperatorRequest, as_customer, operator
from operations.catalogue_labels import label_of, text_of
from operations.error_messages import sentence
from operations.reports import comparisons
from operations.reports.comparisons import Comparison

FIELDS = ("price", "units_per_month", "meter", "on_sale")
EDIT = "edit"  # back from the preview to the table
SHOWN = 20  # latest changes on the page; the records have all of them
LABEL = "prices"  # the action of the audit entries


class PricesForm(forms.Form):
    """The fields of every Sku, named `<pk>-<field>`, a time, a reason and an idempotency token."""

    effective_at = MinuteField(
        label=gettext_lazy("生效时间"),
        required=False,
        help_text=gettext_lazy("北京时间，到时自动生效；留空表示立即生效。此前创建的订单保持原来的价格。"),
    )
    reason = forms.CharField(
        label=gettext_lazy("原因"),
        max_length=REASON_LENGTH,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=gettext_lazy("写入审计日志和目录的修改记录，客户看不到。"),
    )
    token = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, data: Any = None) -> None:
        self.skus = list(Sku.objects.order_by("api", "units_per_month"))
        initial: dict[str, Any] = {"token": uuid4()}
        for sku in self.skus:
            initial |= {f"{sku.pk}-{name}": getattr(sku, name) for name in FIELDS}
        super().__init__(data, initial=initial)
        for sku in self.skus:
            fields = forms.fields_for_model(Sku, FIELDS)
            seen_values.send_along(fields.values())
            for name, field in fields.items():
                field.widget.attrs["aria-label"] = f"{sku} {capfirst(str(field.label))}"
                self.fields[f"{sku.pk}-{name}"] = field

    def clean_effective_at(self) -> datetime | None:
        at: datetime | None = self.cleaned_data["effective_at"]
        if at is not None and at <= now():
            raise forms.ValidationError(_("生效时间必须晚于现在；立即生效请留空。"))
        return at

    def rows(self) -> Iterator[tuple[Sku, list[forms.BoundField]]]:
        """Yield each Sku with its controls, in the order of FIELDS."""
        for sku in self.skus:
            yield sku, [self[f"{sku.pk}-{name}"] for name in FIELDS]

    def edits(self) -> list[Edit]:
        """Return the changes that were made in the table.

        Raises ChangeRefused, and ChangedMeanwhile if such a field was changed since the table was shown.
        """
        values, changed = self.cleaned_data, set(self.changed_data)
        wanted = {
            sku.pk: {name: values[key] for name in FIELDS if (key := f"{sku.pk}-{name}") in changed}
            for sku in self.skus
        }
        found = catalogue.edits(wanted)
        for edit in found:
            if seen_values.seen(self, f"{edit.sku.pk}-{edit.field}") != edit.before:
                raise ChangedMeanwhile(field=edit.field)
        return found


@dataclass(frozen=True, slots=True)
class Row:
    """One field before and after, formatted."""

    sku: str
    field: str
    before: str
    after: str
    change: Comparison


def row_of(edit: Edit) -> Row:
    changed = Comparison("")
    if isinstance(edit.before, Decimal | int) and not isinstance(edit.before, bool):
        after = edit.after if isinstance(edit.after, Decimal | int) else None
        changed = comparisons.change(after, edit.before, more_is_better=None)
    return Row(
        str(edit.sku), label_of("sku", edit.field), text_of("sku", edit.field, edit.before),
        text_of("sku", edit.field, edit.after), changed,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Past:
    """A change of the history, formatted."""

    row: CatalogueChange
    sku: str
    field: str
    before: str
    after: str


def history() -> list[Past]:
    """Return the latest changes of Skus."""
    names = {sku.pk: str(sku) for sku in Sku.objects.all()}
    found = CatalogueChange.objects.filter(subject="sku").exclude(field="").select_related("by")[:SHOWN]
    return [
        Past(
            one, names.get(one.subject_id, str(one.subject_id)), label_of("sku", one.field),
            text_of("sku", one.field, one.before), text_of("sku", one.field, one.after),
        )
        for one in found
    ]  # fmt: skip


def waiting() -> list[tuple[ScheduledChange, Row]]:
    """Return the scheduled changes."""
    return [(one, row_of(Edit(one.sku, one.field, one.before, one.after))) for one in catalogue.scheduled()]


@require_http_methods(["GET", "POST"])
@operator("ops_catalogue")
def page(request: OperatorRequest) -> HttpResponse:
    """Show the table; preview the changes made in it; apply or schedule them."""
    form = PricesForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and EDIT not in request.POST and form.is_valid():
        try:
            edits = form.edits()
            if not edits:
                form.add_error(None, _("没有修改任何一项。"))
            elif CONFIRMED not in request.POST:
                return preview(request, form, edits)
            else:
                return carry_out(request, form, edits)
        except BillingError as error:
            form.add_error(None, sentence(error))
    context = {"form": form, "waiting": waiting(), "history": history(), "nav": "prices"}
    return render(request, "operations/prices.html", context)


def preview(request: OperatorRequest, form: PricesForm, edits: list[Edit]) -> HttpResponse:
    sent = [(name, value) for name, value in request.POST.items() if name != "csrfmiddlewaretoken"]
    context = {
        "rows": [row_of(edit) for edit in edits],
        "effective_at": form.cleaned_data["effective_at"],
        "reason": form.cleaned_data["reason"],
        "sent": sent,
        "nav": "prices",
    }
    return render(request, "operations/prices_preview.html", context)


def carry_out(request: OperatorRequest, form: PricesForm, edits: list[Edit]) -> HttpResponse:
    """Apply or schedule the changes once, in one transaction, with an audit entry for each Sku."""
    at, effective_at = now(), form.cleaned_data["effective_at"]
    reason, token = form.cleaned_data["reason"], form.cleaned_data["token"]
    try:
        with transaction.atomic():
            if effective_at is not None:
                catalogue.schedule(edits, effective_at, by=request.user, reason=reason, at=at)
            else:
                catalogue.lock(edit.sku.pk for edit in edits)
            for sku in {edit.sku.pk: edit.sku for edit in edits}.values():
                mine = [edit for edit in edits if edit.sku.pk == sku.pk]
                if effective_at is None:
                    values = {edit.field: edit.after for edit in mine}
                    seen = {edit.field: edit.before for edit in mine}
                    catalogue.change(sku, values, by=request.user, reason=reason, at=at, seen=seen)
                audit.record(
                    LABEL,
                    sku,
                    by=request.user,
                    reason=reason,
                    at=at,
                    address=client_address(request.META),
                    token=uuid5(token, str(sku.pk)),
                    details={
                        "before": {edit.field: str(edit.before) for edit in mine},
                        "after": {edit.field: str(edit.after) for edit in mine},
                        **({"effective_at": effective_at} if effective_at else {}),
                    },
                )
    except IntegrityError:
        tokens = [uuid5(token, str(edit.sku.pk)) for edit in edits]
        if not AuditEntry.objects.filter(token__in=tokens).exists():
            raise
        messages.info(request, _("这张表单已提交过，没有重复执行。"))
    else:
        done = _("修改已生效。") if effective_at is None else _("已安排，到时自动生效。")
        messages.success(request, done)
    return redirect("ops_prices")


@require_POST
@operator("ops_catalogue")
def cancel(request: OperatorRequest, pk: int) -> HttpResponse:
    """Cancel a scheduled change."""
    question = _("取消这项定时修改？到时价格不会变化。")
    if page := unconfirmed(as_customer(request), question, _("取消修改")):
        return page
    at = now()
    with transaction.atomic():
        cancelled = catalogue.cancel_scheduled(pk, by=request.user, at=at)
        if cancelled is not None:
            audit.record(
                "prices-cancel",
                cancelled.sku,
                by=request.user,
                reason=_("取消定时修改"),
                at=at,
                address=client_address(request.META),
                details={
                    "field": cancelled.field,
                    "after": cancelled.after,
                    "effective_at": cancelled.effective_at,
                },
            )
    if cancelled is None:
        messages.error(request, _("这项修改已生效或已取消。"))
    else:
        messages.success(request, _("已取消。"))
    return redirect("ops_prices")
