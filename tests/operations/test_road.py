"""An operator's path in a real browser: find a customer, top up, refund a package, read the audit log."""

from datetime import datetime
from decimal import Decimal

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from accounts import roles
from accounts.models import App, AuditEntry, User
from billing import catalogue, orders
from billing.models import Api, Package, Sku
from billing.payments import wallet
from operations.reports.customer_overview import SECTIONS
from tests.console.conftest import PASSWORD, Place, Visitor
from tests.console.presentation.test_looks import set_look
from tests.operations.conftest import World
from tests.operations.test_records import MODELS

pytestmark = pytest.mark.browser


def test_an_operator_tops_up_and_refunds(visitor: Visitor, alice: User, place: Place, now: datetime) -> None:
    fiona = User.objects.create_user("fiona", "fiona@example.org", PASSWORD)
    roles.assign(User.objects.create_user("anna", "anna@example.org", PASSWORD), ["admin"])
    roles.assign(fiona, ["finance"])
    sku = Sku.objects.get(api=Api.FACE_DETECT, tier="thousand")
    catalogue.change(sku, {"price": Decimal("12.50")}, by=fiona, reason="prices", at=now)
    order = place(alice)

    page = visitor.page
    visitor.log_in(fiona)
    visitor.open("/ops/desk/")
    search = page.get_by_role("searchbox")
    search.fill("alice@example.org")
    search.press("Enter")
    expect(page.get_by_text("0.00 元").first).to_be_visible()

    visitor.follow("充值")
    expect(page.get_by_text("输错时可以在收支明细里冲正")).to_be_visible()
    page.get_by_label("充值金额").fill("100")
    visitor.press("下一步")
    expect(page.locator("#id_reason_error")).to_be_visible()  # an action needs a reason
    assert wallet.balance(alice) == 0
    page.get_by_label("原因").fill("对公转账 1101")
    visitor.press("下一步")
    visitor.press("确认充值")
    expect(page.get_by_text("已完成：充值。")).to_be_visible()
    expect(page.get_by_text("100.00 元").first).to_be_visible()
    assert wallet.balance(alice) == Decimal("100.00")

    orders.pay(order, now)
    assert wallet.balance(alice) == Decimal("75.00")
    visitor.open(f"/ops/desk/?q={order.number}")
    visitor.follow("退款")
    page.get_by_label("原因").fill("客户买错了规格")
    visitor.press("下一步")
    visitor.press("确认退款")
    expect(page.get_by_text("已完成：退款。")).to_be_visible()
    expect(page.get_by_text("已退款").first).to_be_visible()
    assert wallet.balance(alice) == Decimal("100.00")
    assert Package.objects.get(order=order).refunded_at is not None
    assert list(AuditEntry.objects.order_by("pk").values_list("act", "reason", "by__username")) == [
        ("top-up", "对公转账 1101", "fiona"),
        ("refund", "客户买错了规格", "fiona"),
    ]


LOOKS = [("light", "zh-hans"), ("dark", "en")]


def violations(visitor: Visitor, theme: str, language: str, paths: list[str]) -> list[str]:
    """Return what axe finds on these pages as an admin sees them."""
    anna = User.objects.create_user("anna", "anna@example.org", PASSWORD)
    roles.assign(anna, ["admin"])
    visitor.log_in(anna)
    set_look(visitor, theme, language)
    found = []
    for path in paths:
        visitor.open(path)
        found += visitor.axe()
    return found


@pytest.mark.parametrize(("theme", "language"), LOOKS)
def test_pages_are_accessible(visitor: Visitor, world: World, theme: str, language: str) -> None:
    customer = world.app.customer
    names = (
        "", "usage/", "business/", "live/", "incidents/", "approvals/", "calls/", "customers/", "prices/",
        f"acts/top-up/{customer.pk}/", f"acts/limits/{world.app.pk}/",
    )  # fmt: skip
    assert violations(visitor, theme, language, [f"/ops/{name}" for name in names]) == []


@pytest.mark.parametrize(("theme", "language"), LOOKS)
def test_the_customer_desk_is_accessible(visitor: Visitor, world: World, theme: str, language: str) -> None:
    tabs = [f"/ops/desk/?q={world.app.customer.username}&tab={tab}" for tab in SECTIONS]
    paths = ["/ops/desk/", *tabs, f"/ops/desk/?q={world.calls[0]}"]
    assert violations(visitor, theme, language, paths) == []


@pytest.mark.parametrize(("theme", "language"), LOOKS)
def test_the_records_are_accessible(visitor: Visitor, world: World, theme: str, language: str) -> None:
    names = [one._meta.label_lower.replace(".", "_") for one in MODELS]
    paths = [
        "/admin/",
        *(reverse(f"admin:{name}_changelist") for name in names),
        f"/admin/accounts/user/{world.app.customer.pk}/change/",
        f"/admin/billing/order/{world.orders[0].pk}/change/",
    ]
    assert violations(visitor, theme, language, paths) == []


def test_the_live_view_moves(visitor: Visitor) -> None:
    anna = User.objects.create_user("anna", "anna@example.org", PASSWORD)
    roles.assign(anna, ["admin"])
    visitor.log_in(anna)
    visitor.open("/ops/live/")
    before = visitor.page.locator(".updated").inner_text()
    expect(visitor.page.locator(".updated")).not_to_have_text(before, timeout=60_000)


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_nothing_is_wider_than_a_phone(phone: Visitor, world: World, language: str) -> None:
    """Neither a page nor a table in it: columns of the desktop are stacked here."""
    anna = User.objects.create_user("anna", "anna@example.org", PASSWORD)
    roles.assign(anna, ["admin"])
    phone.log_in(anna)
    phone.page.context.add_cookies([{"name": "django_language", "value": language, "url": phone.url}])
    wide = []
    for path in (
        "/ops/",
        "/ops/usage/",
        "/ops/incidents/",
        "/ops/live/",
        "/ops/business/",
        "/ops/desk/?q=alice",
        "/admin/",
        "/admin/billing/sku/",
        "/admin/billing/order/",
        "/admin/faceapi/call/",
    ):
        phone.open(path)
        widths = phone.page.evaluate(
            "[document.documentElement, ...document.querySelectorAll('.table-wrap')]"
            ".filter(one => one.scrollWidth > one.clientWidth).map(one => [one.className, one.scrollWidth])"
        )
        wide += [(path, *width) for width in widths]
    assert wide == []


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_no_table_is_cut_off_on_a_desktop(visitor: Visitor, world: World, language: str) -> None:
    """From the width at which rows are no longer cards; with long names of an App and a company."""
    App.objects.filter(pk=world.apps[0].pk).update(name="写字楼人脸考勤闸机终端设备一二三")
    App.objects.filter(pk=world.apps[1].pk).update(name="W" * 16)
    User.objects.update(company="Contoso Facility Management (Shanghai) Co., Ltd.")
    anna = User.objects.create_user("anna", "anna@example.org", PASSWORD)
    roles.assign(anna, ["admin"])
    visitor.log_in(anna)
    visitor.page.context.add_cookies([{"name": "django_language", "value": language, "url": visitor.url}])
    records = [reverse(f"admin:{one._meta.label_lower.replace('.', '_')}_changelist") for one in MODELS]
    hidden = []
    for path in [
        "/ops/usage/",
        "/ops/incidents/",
        "/ops/business/",
        f"/ops/desk/?q={world.apps[0].customer.username}",
        *records,
    ]:
        visitor.open(path)
        for width in (1024, 1100, 1241, 1300, 1440):
            visitor.page.set_viewport_size({"width": width, "height": 900})
            widths = visitor.page.locator(".table-wrap:visible").evaluate_all(
                "wraps => wraps.map(wrap => wrap.scrollWidth - wrap.clientWidth)"
            )
            hidden += [(path, width, number) for number in widths if number > 0]
    assert hidden == []
