"""订单, 资源包, 计费周期, 抵扣, 账户, 收支, 代金券, 目录, 通知."""

from typing import Any

from django.contrib import admin
from django.db.models import Case, OuterRef, QuerySet, Subquery, When
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from accounts.models import Region
from billing.models import (
    Api,
    CatalogueChange,
    Debit,
    Duration,
    Notice,
    Order,
    Package,
    Period,
    ScheduledChange,
    Sku,
    Voucher,
    VoucherEntry,
    Wallet,
    WalletEntry,
)
from billing.models.catalogue import spec_text
from console.templatetags.show import months
from operations.actions import subjects
from operations.catalogue_labels import label_of, text_of
from operations.records.base import RecordAdmin
from operations.records.filters import ByWholeId
from operations.reports.tables import Column, Table, at_desk


@admin.register(Order)
class OrderRecords(RecordAdmin):
    icon = "clipboard-document-list"
    desk_field = "number"
    list_display = ("number", "customer", "app_name", "bought", "amount", "state", "paid_at")
    list_filter = ("state", "region", "sku__api", "created_at", "paid_at")
    list_select_related = ("customer", "sku")
    search_fields = (
        "number", "app_name", "customer__username", "customer__email", "customer__company", "app__app_id",
    )  # fmt: skip
    ordering = ("-pk",)

    @admin.display(description=gettext_lazy("内容"), ordering="sku")
    def bought(self, order: Order) -> str:
        return f"{order.sku} × {order.quantity} · {months(order.months)}"

    def tables(self, row: Order) -> list[Table]:
        money = [Column(_("时间"), "when"), Column(_("类型")), Column(_("金额（元）"), "yuan")]
        cash = [[entry.at, entry.get_kind_display(), entry.amount] for entry in row.wallet_entries.all()]
        vouchers = [
            [entry.at, entry.voucher.masked_code, entry.amount]
            for entry in row.voucher_entries.select_related("voucher")
        ]
        return [Table("payments", _("现金与代金券"), money, cash + vouchers, empty=_("没有收支。"))]


def period_table(periods: "QuerySet[Period]") -> Table:
    columns = [
        Column(_("序号"), "count"), Column(_("开始时间"), "when"), Column(_("结束时间"), "when"),
        Column(_("额度"), "count"), Column(_("已用"), "count"), Column(_("计量方式")),
    ]  # fmt: skip
    rows = [
        [
            period.number,
            period.starts_at,
            period.ends_at,
            period.granted,
            period.used,
            period.get_meter_display(),
        ]
        for period in periods.order_by("number")
    ]
    return Table("periods", _("计费周期"), columns, rows)


@admin.register(Package)
class PackageRecords(RecordAdmin):
    icon = "archive-box"
    list_display = ("id", "app", "api", "units_per_period", "order", "starts_at", "ends_at", "refunded_at")
    list_filter = ("api", "starts_at", "ends_at", ("refunded_at", admin.EmptyFieldListFilter))
    list_select_related = ("app__customer", "order")
    search_fields = (
        "app__app_id", "app__name", "order__number", "app__customer__username", "app__customer__company",
    )  # fmt: skip
    ordering = ("-pk",)

    def tables(self, row: Package) -> list[Table]:
        return [period_table(row.periods.all())]


@admin.register(Period)
class PeriodRecords(RecordAdmin):
    icon = "calendar-days"
    list_display = ("id", "package_bought", "app", "api", "number", "starts_at", "ends_at", "granted", "used")
    list_filter = ("api", "ends_at")
    list_select_related = ("package__order", "app")
    search_fields = ("app__app_id", "app__name", "package__order__number")
    ordering = ("-pk",)
    fields = (*list_display, "meter")
    readonly_fields = ("id", "package_bought")

    @admin.display(description=pgettext_lazy("one", "资源包"), ordering="package")
    def package_bought(self, period: Period) -> str:
        return subjects.about(period.package)


@admin.register(Debit)
class DebitRecords(ByWholeId):
    icon = "minus-circle"
    desk_field = "call_id"
    list_display = ("call_id", "app", "api", "units", "state", "created_at", "closed_at")
    list_filter = ("api",)
    list_select_related = ("app",)
    search_fields = ("call_id", "app__app_id")
    ordering = ("-pk",)  # version 7 UUIDs: the newest first
    uuid_column = "call_id"

    def tables(self, row: Debit) -> list[Table]:
        columns = [
            Column(_("抵扣量"), "count"), Column(_("周期开始"), "when"), Column(_("周期结束"), "when"),
            Column(_("订单编号")),
        ]  # fmt: skip
        lines = [
            [
                line.units, line.period.starts_at, line.period.ends_at,
                at_desk(line.period.package.order.number),
            ]
            for line in row.lines.select_related("period__package__order")
        ]  # fmt: skip
        return [Table("lines", _("抵扣明细"), columns, lines)]


@admin.register(Wallet)
class WalletRecords(RecordAdmin):
    sortable_by = ("balance",)
    label = pgettext_lazy("records", "账户余额")
    icon = "wallet"
    list_display = ("customer", "balance")
    list_select_related = ("customer",)
    search_fields = ("customer__username", "customer__email", "customer__company")
    ordering = ("-pk",)

    def tables(self, row: Wallet) -> list[Table]:
        columns = [
            Column(_("时间"), "when"), Column(_("类型")), Column(_("金额（元）"), "yuan"),
            Column(_("余额（元）"), "yuan"), Column(_("原因")),
        ]  # fmt: skip
        entries = [
            [entry.at, entry.get_kind_display(), entry.amount, entry.balance_after, entry.reason]
            for entry in row.entries.all()[:50]
        ]
        return [Table("entries", _("收支明细"), columns, entries, empty=_("没有收支。"))]


@admin.register(WalletEntry)
class WalletEntryRecords(RecordAdmin):
    label = pgettext_lazy("records", "收支明细")
    icon = "banknotes"
    list_display = ("id", "customer", "kind", "amount", "balance_after", "order", "by", "reason", "at")
    list_filter = ("kind", "at")
    list_select_related = ("wallet__customer", "order", "by")
    search_fields = ("wallet__customer__username", "wallet__customer__company", "order__number", "reason")
    ordering = ("-pk",)

    @admin.display(description=gettext_lazy("客户"))
    def customer(self, entry: WalletEntry) -> str:
        return entry.wallet.customer.username


@admin.register(Voucher)
class VoucherRecords(RecordAdmin):
    icon = "ticket"
    list_display = (
        "masked_code", "customer", "face_value", "remaining", "valid_from", "valid_until", "reason",
    )  # fmt: skip
    fields = (
        "masked_code", "customer", "face_value", "remaining", "valid_from", "valid_until", "apis",
        "created_by", "created_at", "redeemed_at", "reason",
    )  # fmt: skip
    readonly_fields = ("masked_code",)
    list_filter = ("valid_until", ("customer", admin.EmptyFieldListFilter))
    list_select_related = ("customer",)
    # "=": only a whole code is found, because a search for parts would reveal it.
    search_fields = ("=code", "customer__username", "customer__company", "reason")
    ordering = ("-pk",)

    @admin.display(description=gettext_lazy("券码"))
    def masked_code(self, voucher: Voucher) -> str:
        return voucher.masked_code

    def tables(self, row: Voucher) -> list[Table]:
        columns = [Column(_("时间"), "when"), Column(_("订单编号")), Column(_("金额（元）"), "yuan")]
        entries = [
            [entry.at, at_desk(entry.order.number), entry.amount]
            for entry in row.entries.select_related("order")
        ]
        return [Table("uses", _("使用记录"), columns, entries, empty=_("还没有使用。"))]


@admin.register(VoucherEntry)
class VoucherEntryRecords(RecordAdmin):
    icon = "ticket"
    list_display = ("id", "voucher", "order", "amount", "at")
    list_filter = ("at",)
    list_select_related = ("voucher", "order")
    search_fields = ("=voucher__code", "order__number")
    ordering = ("-pk",)


@admin.register(Sku)
class SkuRecords(RecordAdmin):
    label = pgettext_lazy("records", "规格")
    icon = "tag"
    list_display = ("id", "api", "tier", "units_per_month", "meter", "price", "on_sale")
    list_filter = ("api", "on_sale")

    def tables(self, row: Sku) -> list[Table]:
        return [changes("sku", row.pk)]


@admin.register(Duration)
class DurationRecords(RecordAdmin):
    label = pgettext_lazy("records", "购买时长")
    icon = "clock"
    list_display = ("months", "is_active")

    def tables(self, row: Duration) -> list[Table]:
        return [changes("duration", row.pk)]


def changes(subject: str, pk: int) -> Table:
    """Return the changes of a catalogue row, with operator, time and reason."""
    columns = [
        Column(_("时间"), "when"), Column(_("操作员")), Column(_("字段")), Column(_("原值")),
        Column(_("新值")), Column(_("原因")),
    ]  # fmt: skip
    found = CatalogueChange.objects.filter(subject=subject, subject_id=pk).select_related("by")
    rows = [
        [
            change.at,
            change.by.username,
            label_of(change.subject, change.field),
            text_of(change.subject, change.field, change.before),
            text_of(change.subject, change.field, change.after),
            change.reason,
        ]
        for change in found
    ]
    return Table("changes", _("修改记录"), columns, rows, empty=_("没有修改过。"))


@admin.register(CatalogueChange)
class CatalogueChangeRecords(RecordAdmin):
    icon = "pencil-square"
    list_display = ("at", "by", "kind", "row", "field_label", "old", "new", "reason")
    list_filter = ("at",)
    list_select_related = ("by",)
    search_fields = ("by__username", "reason")
    ordering = ("-pk",)
    fields = list_display
    readonly_fields = ("kind", "row", "field_label", "old", "new")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[CatalogueChange]":
        """Read the names of the changed rows in the same query."""
        found: QuerySet[CatalogueChange] = super().get_queryset(request)
        names = {
            "sku_api": (Sku, "api"), "sku_tier": (Sku, "tier"), "sku_meter": (Sku, "meter"),
            "duration_months": (Duration, "months"), "region_name": (Region, "name"),
            "region_name_en": (Region, "name_en"),
        }  # fmt: skip
        return found.annotate(
            **{
                name: Case(
                    When(
                        subject=model._meta.model_name,
                        then=Subquery(
                            model._default_manager.filter(pk=OuterRef("subject_id")).values(field)[:1]
                        ),
                    )
                )
                for name, (model, field) in names.items()
            }
        )

    @admin.display(description=gettext_lazy("对象"), ordering="subject")
    def kind(self, change: CatalogueChange) -> str:
        return subjects.kind_named(change.subject)

    @admin.display(description=gettext_lazy("字段"), ordering="field")
    def field_label(self, change: CatalogueChange) -> str:
        return label_of(change.subject, change.field)

    @admin.display(description=gettext_lazy("规格、时长或地域"), ordering="subject_id")
    def row(self, change: Any) -> str:
        """Return the name of the row that was changed."""
        if change.subject == "sku" and change.sku_api:
            return f"{Api(change.sku_api).label} {spec_text(change.sku_tier, change.sku_meter)}"
        if change.subject == "duration" and change.duration_months:
            return months(change.duration_months)
        if change.subject == "region" and change.region_name:
            return str(Region(name=change.region_name, name_en=change.region_name_en))
        return str(change.subject_id)

    @admin.display(description=gettext_lazy("原值"), ordering="before")
    def old(self, change: CatalogueChange) -> str:
        return text_of(change.subject, change.field, change.before)

    @admin.display(description=gettext_lazy("新值"), ordering="after")
    def new(self, change: CatalogueChange) -> str:
        return text_of(change.subject, change.field, change.after)


@admin.register(Notice)
class NoticeRecords(RecordAdmin):
    icon = "bell"
    list_display = ("id", "customer", "kind", "app", "order", "created_at", "read_at", "mailed_at")
    list_filter = ("kind", "created_at")
    list_select_related = ("customer", "app", "order")
    search_fields = ("customer__username", "customer__company", "order__number", "app__app_id")
    ordering = ("-pk",)
    fields = ("customer", "kind", "app", "order", "percent", "days", "created_at", "read_at", "mailed_at")


@admin.register(ScheduledChange)
class ScheduledChangeRecords(RecordAdmin):
    icon = "calendar-days"
    list_display = (
        "effective_at", "sku", "field_label", "old", "new", "by", "reason", "applied_at", "cancelled_at",
    )  # fmt: skip
    list_filter = ("effective_at",)
    list_select_related = ("sku", "by")
    search_fields = ("by__username", "reason")
    ordering = ("-pk",)
    fields = (*list_display, "created_at", "cancelled_by", "failure")
    readonly_fields = ("field_label", "old", "new")

    @admin.display(description=gettext_lazy("字段"), ordering="field")
    def field_label(self, change: ScheduledChange) -> str:
        return label_of("sku", change.field)

    @admin.display(description=gettext_lazy("原值"), ordering="before")
    def old(self, change: ScheduledChange) -> str:
        return text_of("sku", change.field, change.before)

    @admin.display(description=gettext_lazy("新值"), ordering="after")
    def new(self, change: ScheduledChange) -> str:
        return text_of("sku", change.field, change.after)
