"""Pages that refresh or send by htmx report that the server cannot be reached."""

import re

import pytest
from playwright.sync_api import expect

from accounts import roles
from accounts.models import App, User
from billing.models import Sku
from tests.console.conftest import Visitor

pytestmark = pytest.mark.browser


def test_the_live_page_shows_that_it_is_out_of_date(visitor: Visitor, alice: User) -> None:
    roles.assign(alice, ["admin"])
    visitor.log_in(alice)
    visitor.page.clock.install()
    visitor.open("/ops/live/")
    stale = visitor.page.locator("#stale")
    expect(stale).to_be_hidden()
    visitor.page.context.set_offline(True)
    visitor.page.clock.fast_forward(40_000)
    expect(stale).to_have_text(re.compile(r"已 \d\d 秒没有更新"))
    expect(visitor.page.locator("#live")).to_have_class(re.compile("is-stale"))
    visitor.page.context.set_offline(False)
    visitor.page.clock.fast_forward(6_000)
    expect(stale).to_be_hidden()
    visitor.console_messages.clear()  # the browser's own messages about failed requests


def test_the_debugger_reports_that_it_is_offline(visitor: Visitor, alice: User, app: App) -> None:
    visitor.log_in(alice)
    visitor.open("/console/debug/")
    visitor.page.context.set_offline(True)
    visitor.press("发送请求")
    expect(visitor.page.get_by_role("alert")).to_have_text(re.compile("没有连上服务器"))
    visitor.page.context.set_offline(False)
    visitor.press("发送请求")
    expect(visitor.page.locator("#result .mark-box")).to_have_count(1)
    expect(visitor.page.locator("[data-request-failed]")).to_be_hidden()
    visitor.console_messages.clear()


def test_switching_the_region_keeps_what_was_typed(visitor: Visitor, alice: User, app: App) -> None:
    page = visitor.page
    visitor.log_in(alice)
    visitor.open("/console/orders/new/")
    page.get_by_label("应用名称").fill("门禁核验")
    page.get_by_label("人脸比对").check()
    expect(page.get_by_label("万次/月", exact=False).first).to_be_visible()
    page.locator("#id_quantity").fill("3")
    page.locator("#region-switch summary").click()
    page.get_by_role("button", name="广州4").click()
    page.wait_for_url("**/console/orders/new/?*")
    expect(page.locator("main form .plain").first).to_contain_text("广州4")
    expect(page.locator("#id_name")).to_have_value("门禁核验")
    expect(page.locator("#id_quantity")).to_have_value("3")
    expect(page.locator("input[name=api]:checked")).to_have_value("face_compare")


def test_a_tier_that_is_not_on_sale_cannot_be_chosen(visitor: Visitor, alice: User, app: App) -> None:
    Sku.objects.filter(api="face_compare", tier="thousand").update(on_sale=False)
    page = visitor.page
    visitor.log_in(alice)
    visitor.open("/console/orders/new/")
    expect(page.locator("input[name=tier]")).to_have_count(3)
    page.get_by_label("人脸比对").check()
    expect(page.locator("input[name=tier]")).to_have_count(2)
    expect(page.locator("input[name=tier]:checked")).to_have_value("ten_thousand")
    expect(page.locator("#order-total")).to_contain_text("每月可用 10,000 次")
    page.get_by_label("人脸检测定位").check()
    expect(page.locator("input[name=tier]")).to_have_count(3)
