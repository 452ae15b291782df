"""Every table of the admin can be opened, is read-only, and takes a constant number of queries."""

import csv
import io
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts import approvals, audit
from accounts.models import AuditEntry, User
from accounts.users import invitations
from billing import catalogue, orders
from billing.models import Api, Duration, Order, Period, Sku
from billing.notices import due
from billing.payments import wallet
from faceapi.models import Call, UsageHour
from faceapi.usage import rollups
from operations import audit_labels
from operations.records.base import RecordAdmin
from tests.console.conftest import Place
from tests.markup import markup
from tests.operations.conftest import Login, World

pytestmark = pytest.mark.django_db

BUDGET = 15  # session, user, roles, the rows, their count, saved views, the page's own tables
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)


@pytest.fixture
def everything(world: World, operators: dict[str, User], place: Place, now: datetime) -> World:
    """Create at least two rows in every table."""
    for _time in range(2):  # paid with vouchers
        orders.pay(place(world.app.customer, Api.FACE_ANALYSE, app=world.app), now)
    rollups.close(now)
    for number in range(3):
        invitations.invite(f"guest{number}@example.org", by=operators["admin"], at=now)
        audit.record("top-up", world.app.customer, by=operators["admin"], reason=f"why {number}", at=now)
        duration = Duration.objects.get(months=1)
        catalogue.change(
            duration, {"is_active": not duration.is_active}, by=operators["admin"], reason="test", at=now
        )
        seen: dict[str, Any] = {
            "username": f"u{number}",
            "ip_address": "203.0.113.1",
            "user_agent": "x",
            "path_info": "/",
        }
        AccessAttempt.objects.create(failures_since_start=1, get_data="", post_data="", **seen)
        AccessFailureLog.objects.create(**seen)
        AccessLog.objects.create(**seen)
        approvals.request(
            "top-up", subject_id=1, customer=world.app.customer, worth=Decimal(1), form={}, reason="why",
            token=uuid4(), by=operators["finance"], at=now,
        )  # fmt: skip
    for price in (Decimal(1), Decimal(2)):
        (edit, *_others) = catalogue.edits({sku.pk: {"price": price} for sku in Sku.objects.all()})
        later = now + timedelta(days=int(price))
        catalogue.schedule([edit], later, by=operators["admin"], reason="test", at=now)
    due.scan(now)
    return world


def opened(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        reply = client.get(address)
    assert reply.status_code == 200, address
    return len(queries)


def test_every_table_can_be_listed_filtered_searched_and_opened(everything: World, as_admin: Client) -> None:
    """All tables share one expensive fixture."""
    opened(as_admin, reverse("admin:index"))
    for model in MODELS:
        records = admin.site._registry[model]
        assert isinstance(records, RecordAdmin), model
        rows = model._default_manager.all()
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        listed = reverse(f"{name}_changelist")
        assert opened(as_admin, listed) <= BUDGET, model
        assert opened(as_admin, f"{listed}?q=alice") <= BUDGET, model
        if model._meta.label != "billing.Notice":
            assert rows.count() >= 2, model
        if (row := rows.first()) is not None:
            assert opened(as_admin, reverse(f"{name}_change", args=[row.pk])) <= BUDGET, model
            assert_read_only(as_admin, name, row)


def assert_read_only(client: Client, name: str, row: Model) -> None:
    before = type(row)._default_manager.filter(pk=row.pk).values().get()
    assert client.post(reverse(f"{name}_change", args=[row.pk]), {"_save": "1"}).status_code == 403
    assert client.get(reverse(f"{name}_add")).status_code == 403
    assert client.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    assert type(row)._default_manager.filter(pk=row.pk).values().get() == before


def test_a_longer_list_takes_no_more_queries(world: World, as_admin: Client, now: datetime) -> None:
    for address in (
        "/admin/faceapi/call/",
        "/admin/billing/debit/",
        "/admin/billing/order/",
        "/admin/accounts/app/",
    ):
        many = opened(as_admin, address)
        few = opened(as_admin, f"{address}?q={world.app.app_id}")
        assert many <= few + 1, address


def test_filters_and_search_find_rows(world: World, as_admin: Client) -> None:
    call = Call.objects.filter(code=4003).latest("at")
    text = as_admin.get("/admin/faceapi/call/?code=4003").content.decode()
    assert str(call.pk) in text
    assert str(Call.objects.filter(code=0).latest("at").pk) not in text
    found = as_admin.get(f"/admin/faceapi/call/?q={call.pk}").content.decode()
    assert "共 1 条" in found
    assert "没有记录" in as_admin.get("/admin/faceapi/call/?q=nothing").content.decode()
    assert "?o=" not in text  # no link sorts a table, which may have any size
    orders = as_admin.get("/admin/billing/order/?state__exact=paid").content.decode()
    assert world.orders[0].number in orders
    people = as_admin.get("/admin/accounts/user/?role=finance").content.decode()
    assert "op-finance" in people
    assert "op-viewer" not in people


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_times_are_formatted_as_on_the_other_pages(world: World, as_admin: Client, language: str) -> None:
    as_admin.cookies["django_language"] = language
    text = as_admin.get("/admin/billing/order/").content.decode()
    paid_at = timezone.localtime(world.orders[0].paid_at)
    assert f">{paid_at:%Y-%m-%d %H:%M:%S}<" in text


def test_amounts_and_counts_have_thousands_separators(
    world: World, operators: dict[str, User], as_admin: Client, now: datetime
) -> None:
    """In lists and on the pages of records; a code or a number is not a count."""
    customer = world.app.customer
    entry = wallet.top_up(customer, Decimal("1234567.5"), by=operators["finance"], reason="transfer", at=now)
    Period.objects.filter(app=world.app).update(granted=1_234_567)
    usage = UsageHour.objects.filter(code=4003).first()
    assert usage is not None
    for address, shown in (
        ("billing/walletentry/", "1,234,567.50"),
        (f"billing/walletentry/{entry.pk}/change/", "1,234,567.50"),
        ("billing/period/", "1,234,567"),
        (f"billing/period/{Period.objects.filter(app=world.app)[0].pk}/change/", "1,234,567"),
        (f"faceapi/usagehour/{usage.pk}/change/", "4003"),
    ):
        text = as_admin.get(f"/admin/{address}").content.decode()
        assert f">{shown}<" in "".join(text.split()), address
    exported = as_admin.get("/admin/billing/walletentry/export.csv").content.decode()
    assert "1234567.50" in exported  # spreadsheets read numbers without separators


def test_a_record_has_a_readable_name(world: World, operators: dict[str, User], as_admin: Client) -> None:
    """The name contains no key of another table, no code word and no time of another zone."""

    def page(path: str) -> str:
        return markup(as_admin.get(path))

    period = world.orders[0].package.periods.get()
    text = page(f"/admin/billing/period/{period.pk}/change/")
    assert f"<h1>计费周期 · {period.pk}</h1>" in text
    assert f"人脸检测定位 · {world.orders[0].number}" in text
    hour = UsageHour.objects.latest("pk")
    assert f"<h1>每小时用量 · {hour.pk}</h1>" in page(f"/admin/faceapi/usagehour/{hour.pk}/change/")
    assert "<h1>1 个月</h1>" in page(f"/admin/billing/duration/{Duration.objects.get(months=1).pk}/change/")
    changes = page("/admin/billing/cataloguechange/")  # the prices of `priced`
    assert ">规格<" in changes
    assert ">价格（元/月）<" in changes
    audit.record("top-up", world.app.customer, by=operators["admin"], reason="why", at=timezone.now())
    assert ">用户<" in page("/admin/accounts/auditentry/")


def test_a_region_has_its_name_in_the_language_of_the_page(
    world: World, operators: dict[str, User], as_admin: Client, now: datetime
) -> None:
    region = world.app.region
    catalogue.change(region, {"position": 7}, by=operators["admin"], reason="test", at=now)
    for path in (
        "/admin/accounts/app/",
        f"/admin/accounts/app/{world.app.pk}/change/",
        f"/admin/accounts/region/{region.pk}/change/",
        "/admin/billing/cataloguechange/",
    ):
        for language, shown, other in (("zh-hans", "上海6", "Shanghai 6"), ("en", "Shanghai 6", "上海6")):
            as_admin.cookies["django_language"] = language
            page = as_admin.get(path).content.decode()
            assert shown in page, path
            if "region/" not in path:  # which has a field for each name
                assert other not in page, path


def test_no_password_is_shown(world: World, as_admin: Client) -> None:
    user = world.app.customer
    text = as_admin.get(f"/admin/accounts/user/{user.pk}/change/").content.decode()
    assert user.email in text
    assert user.password not in text
    assert "argon2" not in text


def test_every_list_is_exported_as_it_is_shown(everything: World, as_admin: Client) -> None:
    for model in MODELS:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_export"
        rows = model._default_manager.count()  # before: the audit log records the file
        reply = as_admin.get(reverse(name))
        assert reply.status_code == 200, model
        lines = list(csv.reader(io.StringIO(reply.content.decode("utf-8-sig"))))
        assert len(lines) == rows + 1, model
        assert "True" not in reply.content.decode(), model
    paid = as_admin.get("/admin/billing/order/export.csv?state__exact=paid&q=alice").content.decode()
    assert paid.count("\n") == 1 + Order.objects.filter(state="paid", customer__username="alice").count()
    seconds = timezone.localtime(everything.orders[0].paid_at).strftime("%Y-%m-%d %H:%M:%S")
    assert seconds in paid
    assert as_admin.get("/admin/billing/order/export.csv?password__regex=x").status_code in (302, 400, 404)


def test_a_file_of_personal_data_is_in_the_audit_log(
    world: World, operators: dict[str, User], log_in: Login
) -> None:
    found = {}
    for name, address in {
        "user": "/admin/accounts/user/export.csv?q=alice",
        "customers": "/ops/customers/customers.csv?q=alice",
        "calls": "/ops/calls/calls.csv?range=30d&who=alice",
        "apps": "/ops/desk/apps.csv?q=alice",
    }.items():
        lines = log_in("support").get(address).content.decode("utf-8-sig").splitlines()
        entry = AuditEntry.objects.filter(act="export").latest("pk")
        found[name] = len(lines) - 1
        assert (entry.by, entry.reason) == (operators["support"], f"{name}.csv")
        assert entry.details == {"filter": address.partition("?")[2], "rows": len(lines) - 1}
    assert all(found.values())
    shown = log_in("admin").get("/admin/accounts/auditentry/").content.decode()
    assert "下载 CSV 文件" in shown


def test_a_list_is_exported_only_to_permitted_operators(everything: World, log_in: Login) -> None:
    assert log_in("support").get("/admin/accounts/auditentry/export.csv").status_code == 403
    assert log_in("viewer").get("/admin/billing/order/export.csv").status_code == 403


def test_booleans_and_details_are_shown_as_words(
    everything: World, as_admin: Client, operators: dict[str, User]
) -> None:
    people = as_admin.get("/admin/accounts/user/").content.decode()
    assert 'alt="True"' not in people
    assert ">是<" in people
    entry = audit.record(
        "top-up", everything.app.customer, by=operators["admin"], reason="why", at=timezone.now(),
        details={"amount": Decimal("88.80"), "valid_until": timezone.now(), "before": {"on_sale": "True"},
                 "after": {"on_sale": "False"}, "roles": []},
    )  # fmt: skip
    entry.subject = "sku"
    words = dict(audit_labels.details(entry))
    assert words["金额"] == "88.80 元"
    assert words["在售"] == "是 → 否"
    assert "amount" not in as_admin.get(f"/admin/accounts/auditentry/{entry.pk}/change/").content.decode()
    history = as_admin.get("/admin/billing/cataloguechange/").content.decode()
    assert "人脸检测定位 千张/月" in history
    assert "12.50 元" in history


def test_the_search_box_names_the_searched_fields(everything: World, as_admin: Client) -> None:
    assert "用户名、邮箱、公司" in as_admin.get("/admin/accounts/user/").content.decode()
    assert "完整的请求 ID、应用 ID 或 AppKey" in as_admin.get("/admin/faceapi/call/").content.decode()
    User.objects.filter(username="alice").update(company="Contoso 上海")
    assert "共 1 条" in as_admin.get("/admin/billing/wallet/?q=contoso").content.decode()
