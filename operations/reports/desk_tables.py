"""/ops/desk/<list>.csv: each list of the customer desk as a file."""

from collections.abc import Callable, Iterable

from django.http import Http404, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from billing.models import Package, Period
from common.postgresql.clock import now
from operations.access import OperatorRequest, operator
from operations.actions.subjects import kind_named
from operations.audit_labels import act_label
from operations.reports.customer_overview import CustomerOverview, find
from operations.reports.personal_files import personal_file
from operations.reports.tables import Column, Table

CSV_ROWS = 50_000


def apps(overview: CustomerOverview) -> Table:
    columns = [
        Column(_("应用 ID")), Column(_("应用名称")), Column(_("地域")), Column(_("每秒上限"), "count"),
        Column(_("并发上限"), "count"), Column(_("创建时间"), "moment"), Column(_("归档时间"), "moment"),
    ]  # fmt: skip
    rows = [
        [
            app.app_id, app.name, str(app.region), app.rate_per_s, app.concurrency, app.created_at,
            app.archived_at,
        ]
        for app in overview.apps
    ]  # fmt: skip
    return Table("apps", _("应用"), columns, rows)


def keys(overview: CustomerOverview) -> Table:
    columns = [
        Column("AppKey"), Column(_("应用 ID")), Column(_("创建时间"), "moment"),
        Column(_("停用时间"), "moment"), Column(_("失效时间"), "moment"), Column(_("最近使用"), "moment"),
    ]  # fmt: skip
    rows = [
        [key.key, key.app.app_id, key.created_at, key.disabled_at, key.expires_at, key.last_used_at]
        for key, _is_live in overview.keys
    ]
    return Table("keys", _("密钥"), columns, rows)


def orders(overview: CustomerOverview) -> Table:
    columns = [
        Column(_("订单编号")), Column(_("应用名称")), Column(_("API 类型")), Column(_("规格")),
        Column(_("数量"), "count"), Column(_("月数"), "count"), Column(_("状态")),
        Column(_("金额（元）"), "yuan"), Column(_("现金收入（元）"), "yuan"),
        Column(_("代金券支付（元）"), "yuan"), Column(_("创建时间"), "moment"),
        Column(_("支付时间"), "moment"),
    ]  # fmt: skip
    rows = [
        [
            one.number, one.app_name, one.sku.get_api_display(), one.spec, one.quantity, one.months,
            one.get_state_display(), one.amount, one.cash_paid, one.voucher_paid, one.created_at, one.paid_at,
        ]
        for one in overview.orders
    ]  # fmt: skip
    return Table("orders", _("订单"), columns, rows)


def summaries(overview: CustomerOverview) -> Table:
    columns = [
        Column(_("应用 ID")), Column(_("应用名称")), Column(_("API 类型")), Column(_("剩余"), "count"),
        Column(_("额度"), "count"), Column(_("规格")), Column(_("到期时间"), "last_day"),
    ]  # fmt: skip
    rows = [
        [
            one.app.app_id, one.app.name, one.api_label, one.remaining, one.granted, one.spec,
            one.expires_at,
        ]
        for one in overview.summaries
    ]  # fmt: skip
    return Table("summaries", _("剩余额度"), columns, rows)


def packages(overview: CustomerOverview) -> Table:
    """Return the Periods of the Packages, one row each."""
    columns = [
        Column(_("订单编号")), Column(_("应用 ID")), Column(_("API 类型")), Column(_("序号"), "count"),
        Column(_("开始时间"), "moment"), Column(_("结束时间"), "moment"), Column(_("额度"), "count"),
        Column(_("已用"), "count"), Column(_("计量方式")), Column(_("退款时间"), "moment"),
    ]  # fmt: skip
    pairs: Iterable[tuple[Package, Period]] = (
        (package, period) for package in overview.packages for period in package.periods.all()
    )
    rows = [
        [
            package.order.number, package.app.app_id, package.get_api_display(), period.number,
            period.starts_at, period.ends_at, period.granted, period.used, period.get_meter_display(),
            package.refunded_at,
        ]
        for package, period in pairs
    ]  # fmt: skip
    return Table("packages", _("资源包"), columns, rows)


def entries(overview: CustomerOverview) -> Table:
    columns = [
        Column(_("时间"), "moment"), Column(_("类型")), Column(_("金额（元）"), "yuan"),
        Column(_("余额（元）"), "yuan"), Column(_("订单编号")), Column(_("原因")), Column(_("操作员")),
    ]  # fmt: skip
    rows = [
        [
            one.at, one.get_kind_display(), one.amount, one.balance_after,
            one.order.number if one.order else "", one.reason, one.by.username if one.by else "",
        ]
        for one in overview.entries
    ]  # fmt: skip
    return Table("entries", _("收支明细"), columns, rows)


def vouchers(overview: CustomerOverview) -> Table:
    columns = [
        Column(_("券码")), Column(_("面值（元）"), "yuan"), Column(_("剩余（元）"), "yuan"),
        Column(_("生效时间"), "moment"), Column(_("失效时间"), "moment"), Column(_("原因")),
    ]  # fmt: skip
    rows = [
        [one.masked_code, one.face_value, one.remaining, one.valid_from, one.valid_until, one.reason]
        for one in overview.vouchers
    ]
    return Table("vouchers", _("代金券"), columns, rows)


def voucher_entries(overview: CustomerOverview) -> Table:
    columns = [
        Column(_("时间"), "moment"), Column(_("券码")), Column(_("金额（元）"), "yuan"),
        Column(_("订单编号")),
    ]  # fmt: skip
    rows = [
        [one.at, one.voucher.masked_code, one.amount, one.order.number] for one in overview.voucher_entries
    ]
    return Table("voucher_entries", _("代金券使用"), columns, rows)


def acts(overview: CustomerOverview) -> Table:
    columns = [
        Column(_("时间"), "moment"), Column(_("操作员")), Column(_("操作")), Column(_("对象类型")),
        Column(_("对象编号")), Column(_("原因")),
    ]  # fmt: skip
    rows = [
        [one.at, one.by.username, act_label(one.act), kind_named(one.subject), one.subject_id, one.reason]
        for one in overview.acts
    ]
    return Table("acts", _("运营操作"), columns, rows)


TABLES: dict[str, Callable[[CustomerOverview], Table]] = {
    table.__name__: table
    for table in (summaries, apps, keys, orders, packages, entries, vouchers, voucher_entries, acts)
}


@require_GET
@operator("ops_desk")
def export(request: OperatorRequest, key: str) -> HttpResponse:
    """Send one list of the desk as CSV, at most CSV_ROWS."""
    overview = find(request.GET.get("q", "")[:150], now(), key, CSV_ROWS)
    if key not in TABLES or not overview.is_found:
        raise Http404
    return personal_file(request, request.user, key, TABLES[key](overview).plain)
