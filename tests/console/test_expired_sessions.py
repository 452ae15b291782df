"""A session that ended while a page was open: the login page loads, and says what was not saved."""

import pytest
from django.test import Client
from playwright.sync_api import expect

from accounts.models import App, User
from billing.models import Order
from tests.console.conftest import PASSWORD, Place, Visitor

HTMX = {"HX-Request": "true", "HX-Current-URL": "http://testserver/console/orders/new/?api=face_detect"}
LOGIN_FROM_ORDER = "/login/?next=/console/orders/new/%3Fapi%3Dface_detect"


@pytest.mark.parametrize(
    ("method", "address"),
    [("get", "/console/orders/quote/"), ("post", "/console/debug/"), ("get", "/ops/live/")],
)
def test_htmx_loads_the_login_as_a_whole_page(client: Client, db: None, method: str, address: str) -> None:
    reply = getattr(client, method)(address, headers=HTMX)
    assert (reply.status_code, reply["HX-Redirect"], reply.content) == (401, LOGIN_FROM_ORDER, b"")


def test_a_page_opened_without_a_session_returns_to_itself(client: Client, db: None) -> None:
    reply = client.get("/console/apps/?page=2")
    assert reply.status_code == 302
    assert reply["Location"] == "/login/?next=/console/apps/%3Fpage%3D2"
    assert "没有保存" not in client.get(reply["Location"]).content.decode()


def test_a_form_sent_too_late_returns_to_its_page_and_says_so(
    client: Client, alice: User, place: Place
) -> None:
    order = place(alice)
    page = f"/console/orders/{order.number}/"
    reply = client.post(f"{page}cancel/", headers={"Referer": f"http://testserver{page}"})
    assert (reply.status_code, reply["Location"]) == (302, f"/login/?next={page}")
    assert "刚才提交的内容没有保存" in client.get(reply["Location"]).content.decode()
    logged_in = client.post(
        reply["Location"], {"username": alice.username, "password": PASSWORD, "next": page}
    )
    assert logged_in["Location"] == page
    assert Order.objects.get(pk=order.pk).state == "pending"


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/console/", "//evil.example/", "javascript:alert(1)"]
)
def test_the_login_leads_nowhere_else(client: Client, db: None, elsewhere: str) -> None:
    reply = client.post("/console/wallet/", headers={"Referer": elsewhere})
    assert reply["Location"] == "/login/?next=/console/wallet/"
    reply = client.get("/console/orders/quote/", headers={**HTMX, "HX-Current-URL": elsewhere})
    assert reply["HX-Redirect"] == "/login/?next=/console/orders/quote/"


@pytest.mark.browser
def test_the_login_never_stands_inside_a_card(visitor: Visitor, alice: User, app: App) -> None:
    visitor.log_in(alice)
    visitor.open("/console/debug/")
    visitor.page.context.clear_cookies(name="sessionid")
    visitor.press("发送请求")
    visitor.page.wait_for_url("**/login/?next=/console/debug/")
    expect(visitor.page.locator("h1")).to_have_text("登录")
    visitor.page.locator("#id_username").fill(alice.username)
    visitor.page.locator("#id_password").fill(PASSWORD)
    visitor.page.locator("main form button").click()
    visitor.page.wait_for_url("**/console/debug/")
    visitor.complaints.clear()  # the browser's own line about the 401
