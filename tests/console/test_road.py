"""A customer's whole path in a real browser, from registration to a drawn result (manual, chapter 3)."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from accounts.models import App, User
from billing import orders
from billing.models import Order, OrderState, Package
from tests.conftest import wait_until
from tests.console.conftest import PASSWORD, Place, Visitor

pytestmark = pytest.mark.browser


def test_a_visitor_gets_from_registration_to_a_drawn_face(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open("/")
    visitor.follow("立即开通")
    visitor.follow("立即注册")
    page.locator("#id_username").fill("xiaoli")
    page.locator("#id_email").fill("xiaoli@example.org")
    page.locator("#id_password1").fill(PASSWORD)
    page.locator("#id_password2").fill(PASSWORD)
    visitor.press("注册并登录")

    expect(page.get_by_role("heading", name="创建订单")).to_be_visible()
    expect(page.get_by_text("温馨提示：页面右上角切换区域")).to_be_visible()
    page.get_by_label("应用名称").fill("门禁核验")
    page.get_by_label("应用描述").fill("一号楼门禁")
    page.get_by_label("人脸检测定位").check()
    expect(page.get_by_label("千张/月")).to_be_checked()
    page.get_by_label("人脸比对").check()
    expect(page.get_by_label("千次/月")).to_be_checked()
    page.get_by_label("人脸检测定位").check()
    expect(page.get_by_label("千张/月")).to_be_checked()
    page.locator("#id_quantity").fill("3")
    expect(page.locator("#order-total")).to_contain_text("每月可用 3,000 张")
    visitor.press("下一步")

    expect(page.get_by_role("heading", name="订单确认")).to_be_visible()
    expect(page.locator(".steps .done svg")).to_have_count(1)  # the tick of the first step
    visitor.press("立即创建")

    expect(page.get_by_text("业务开通与订购")).to_be_visible()
    expect(page.locator("#balances")).to_contain_text("账户余额")
    expect(page.locator("#balances")).to_contain_text("代金券余额")
    expect(page.get_by_text("48 小时")).to_be_visible()
    visitor.press("立即付款")

    expect(page.get_by_text("订单处理完成！")).to_be_visible()
    hide_the_new_secret(page)
    expect(page.get_by_text("实际支付")).to_be_visible()
    page.get_by_role("navigation", name="控制台导航").get_by_role("link", name="应用列表").click()
    row = page.locator("tbody tr").first
    expect(row).to_contain_text("门禁核验")
    expect(row).to_contain_text("3,000 / 3,000 张")
    expect(row).to_contain_text("千张/月 × 3")

    row.get_by_role("button", name="更多").click()
    page.locator(".menu-list:popover-open").get_by_role("link", name="密钥").click()
    page.get_by_text("显示 SecretKey").click()
    page.locator("details[open]").get_by_label("登录密码").fill(PASSWORD)
    page.locator("details[open]").get_by_role("button", name="显示").click()
    expect(page.locator("#secret")).to_have_text(re.compile("^[0-9a-f]{32}$"))
    secret = page.locator("#secret").inner_text()
    expect(page.locator("dialog:modal #secret")).to_be_visible()  # Escape does not close it before
    page.keyboard.press("Escape")
    expect(page.locator("#secret")).to_have_count(0)
    assert secret not in page.content()

    page.get_by_role("navigation", name="控制台导航").get_by_role("link", name="在线调试").click()
    visitor.press("发送请求")
    expect(page.locator("#result .mark-box")).to_have_count(1)
    expect(page.locator("#result .mark-dot")).to_have_count(5)
    expect(page.locator("#result")).to_contain_text("X-Billed-Units")
    assert secret not in page.content()

    page.get_by_role("navigation", name="控制台导航").get_by_role("link", name="应用列表").click()
    expect(page.locator("tbody tr").first).to_contain_text("2,999 / 3,000 张")
    page.locator("tbody tr").first.get_by_role("link", name="报表").click()
    expect(page.locator("#calls tbody tr")).to_have_count(1)
    chart = "window.Chart?.getChart(document.querySelector('canvas'))"
    # Not wait_for_function: it evaluates a string in the page, which the Content-Security-Policy forbids.
    wait_until(lambda: page.evaluate(f"{chart} !== undefined"), timeout_s=60, what="the chart")
    assert sum(page.evaluate(f"{chart}.data.datasets[0].data")) == 1


def hide_the_new_secret(page: Page) -> None:
    page.get_by_role("dialog").get_by_role("link", name=re.compile("隐藏|Hide")).click()
    expect(page.locator("#secret")).to_have_count(0)


def test_a_visitor_needs_seven_clicks_to_the_copied_secret(visitor: Visitor) -> None:
    """At most eight for a new customer; typing is not counted."""
    page = visitor.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.add_init_script(
        "addEventListener('click', event => { if (event.detail) sessionStorage.clicks ="
        " Number(sessionStorage.clicks ?? 0) + 1; }, true)"
    )
    visitor.open("/")
    visitor.follow("立即开通")
    visitor.follow("立即注册")
    for field, text in (("username", "xiaowang"), ("email", "xiaowang@example.org")):
        page.locator(f"#id_{field}").fill(text)
    for field in ("password1", "password2"):
        page.locator(f"#id_{field}").fill(PASSWORD)
    visitor.press("注册并登录")
    page.get_by_label("应用名称").fill("门禁核验")
    page.get_by_label("应用描述").fill("一号楼门禁")
    for button in ("下一步", "立即创建", "立即付款"):
        visitor.press(button)
    page.get_by_role("dialog").get_by_role("button", name="复制 SecretKey").click()
    secret = page.locator("#secret").inner_text()
    assert re.fullmatch("[0-9a-f]{32}", secret)
    assert page.evaluate("navigator.clipboard.readText()") == secret
    assert int(page.evaluate("sessionStorage.clicks")) == 7
    assert visitor.axe() == []
    page.reload()
    expect(page.get_by_text("订单处理完成！")).to_be_visible()
    assert secret not in page.content()


def test_two_clicks_pay_once(visitor: Visitor, alice: User, place: Place) -> None:
    order = place(alice)
    visitor.log_in(alice)
    visitor.open(f"/console/orders/{order.number}/pay/")
    visitor.page.locator("#pay-now").dblclick()
    expect(visitor.page.get_by_text("订单处理完成！")).to_be_visible()
    assert Order.objects.get().state == OrderState.PAID
    assert Package.objects.count() == 1


def test_two_tabs_pay_once(visitor: Visitor, alice: User, place: Place) -> None:
    order = place(alice)
    visitor.log_in(alice)
    second = visitor.page.context.new_page()
    for tab in (visitor.page, second):
        tab.goto(f"{visitor.url}/console/orders/{order.number}/pay/")
    for tab in (visitor.page, second):
        tab.locator("#pay-now").click()
        expect(tab.get_by_text("订单处理完成！")).to_be_visible()
    expect(second.get_by_text("该订单已支付，没有重复扣款。")).to_be_visible()
    assert Package.objects.count() == 1


def test_the_expiry_of_an_order_is_reported(visitor: Visitor, alice: User, place: Place) -> None:
    order = place(alice)
    visitor.log_in(alice)
    visitor.open(f"/console/orders/{order.number}/pay/")
    past = timedelta(hours=49)
    Order.objects.filter(pk=order.pk).update(
        created_at=order.created_at - past, expires_at=order.expires_at - past
    )
    visitor.press("立即付款")
    expect(visitor.page.get_by_text("该订单创建超过 48 小时未支付，已被取消。请重新下单。")).to_be_visible()
    assert not App.objects.exists()


def test_cancelling_an_order_is_confirmed_first(visitor: Visitor, alice: User, place: Place) -> None:
    order = place(alice)
    visitor.log_in(alice)
    visitor.open(f"/console/orders/{order.number}/pay/")
    visitor.press("取消订单")
    dialog = visitor.page.get_by_role("dialog")
    expect(dialog).to_contain_text("取消后订单不能恢复")
    dialog.get_by_role("button", name="取消", exact=True).click()
    assert Order.objects.get().state == OrderState.PENDING
    visitor.press("取消订单")
    dialog.get_by_role("button", name="取消订单").click()
    expect(visitor.page.get_by_text("该订单已取消，没有产生费用。")).to_be_visible()


NAME_RULE = "应用名称长度 1-16 个字符或汉字，不能有 ~!@#¥%^&* 特殊字符"


@pytest.mark.parametrize("name", [*"~!@#¥¥%^&*", "一二三四五六七八九十一二三四五六七", "a\u200bb"])
def test_an_invalid_name_is_reported_while_typing_and_after_sending(
    visitor: Visitor, alice: User, name: str
) -> None:
    visitor.log_in(alice)
    visitor.open("/console/orders/new/")
    visitor.page.get_by_label("应用名称").fill(name)
    expect(visitor.page.locator("#id_name_live")).to_have_text(NAME_RULE)
    visitor.page.get_by_label("应用描述").fill("可以")
    with visitor.page.expect_response(lambda reply: "/confirm/" in reply.url) as refused:
        visitor.press("下一步")
    assert refused.value.status == 422
    expect(visitor.page.locator("#id_name_error")).to_have_text(NAME_RULE)
    visitor.console_messages.clear()  # Chromium logs the expected 422 as an error


@pytest.mark.parametrize("name", ["十六个字符刚刚好的应用名称呀一二", "𠮷野家", "  前后空白  ", "a-b_c (1)"])
def test_a_valid_name_shows_no_error(visitor: Visitor, alice: User, name: str) -> None:
    visitor.log_in(alice)
    visitor.open("/console/orders/new/")
    visitor.page.get_by_label("应用名称").fill(name)
    expect(visitor.page.locator("#id_name_live")).to_be_hidden()
    visitor.page.get_by_label("应用描述").fill("可以")
    visitor.press("下一步")
    expect(visitor.page.get_by_role("heading", name="订单确认")).to_be_visible()


@pytest.mark.parametrize("quantity", ["0", "10", "1.5", ""])
def test_an_invalid_quantity_is_reported_beside_its_field(
    visitor: Visitor, alice: User, quantity: str
) -> None:
    visitor.log_in(alice)
    visitor.open("/console/orders/new/?name=门禁&description=门禁")
    visitor.page.locator("#id_quantity").fill(quantity)
    visitor.press("下一步")
    expect(visitor.page.locator("#id_quantity_error")).to_have_text("数量为 1-9，只能为整数")
    expect(visitor.page.locator("#id_quantity")).to_be_focused()
    visitor.console_messages.clear()


def test_the_main_path_works_without_javascript(visitor: Visitor, browser: Browser, alice: User) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{visitor.url}/login/?next=/console/orders/new/")
    page.fill("#id_username", alice.username)
    page.fill("#id_password", PASSWORD)
    page.click("main button")
    page.fill("#id_name", "门禁")
    page.fill("#id_description", "一号楼")
    for button in ("下一步", "立即创建", "立即付款"):
        page.get_by_role("button", name=button, exact=True).click()
    expect(page.get_by_text("订单处理完成！")).to_be_visible()
    page.goto(f"{visitor.url}/console/debug/")
    page.get_by_role("button", name="发送请求").click()
    expect(page.locator("#result .mark-box")).to_have_count(1)
    context.close()


def test_the_main_path_works_on_a_phone_in_english(phone: Visitor, alice: User) -> None:
    phone.log_in(alice)
    phone.page.get_by_role("button", name="English").tap()
    phone.page.locator("main").get_by_role("link", name="Create an App").tap()
    phone.page.locator("#id_name").fill("Gate 1")
    phone.page.locator("#id_description").fill("Front gate")
    phone.page.get_by_label("Face attributes").check()
    for button in ("Next", "Create order", "Pay now"):
        phone.page.get_by_role("button", name=button, exact=True).tap()
    expect(phone.page.get_by_text("Your order is complete!")).to_be_visible()
    hide_the_new_secret(phone.page)
    phone.page.locator("main").get_by_role("link", name="Debugger").tap()
    phone.page.get_by_role("button", name="Send request").tap()
    expect(phone.page.locator("#result .mark-list")).to_contain_text(re.compile(r"(Fem|M)ale · \d+"))


def test_buying_again_adds_to_the_same_app(visitor: Visitor, alice: User, app: App) -> None:
    visitor.log_in(alice)
    visitor.open("/console/apps/")
    visitor.page.locator("tbody tr").first.get_by_role("button", name="更多").click()
    visitor.page.locator(".menu-list:popover-open").get_by_role("link", name="再次购买").click()
    expect(visitor.page.get_by_text(app.app_id)).to_be_visible()
    for button in ("下一步", "立即创建", "立即付款"):
        visitor.press(button)
    expect(visitor.page.get_by_text("订单处理完成！")).to_be_visible()
    assert orders.of(alice, state=OrderState.PAID).filter(app=app).count() == 4
    visitor.open("/console/apps/")
    expect(visitor.page.locator("tbody tr").first).to_contain_text("4,000 / 4,000 张")
