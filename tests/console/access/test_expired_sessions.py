"""A session that ended while a page was open: the login page is loaded, and states what was not saved."""

from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from playwright.sync_api import expect

from accounts.models import App, User
from billing.models import Order
from console import kept_forms
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


def test_a_form_sent_after_expiry_returns_to_its_page_with_a_message(
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


def send_late(client: Client, path: str, form: dict[str, str]) -> HttpResponse:
    """Send a form as a browser does, after the session has ended."""
    session = client.session
    session["seen_s"] = 0
    session.save()
    return client.post(
        path,
        urlencode(form),
        content_type="application/x-www-form-urlencoded",
        headers={"Referer": f"http://testserver{path}"},
    )


def test_a_form_is_kept_and_offered_again_after_the_login(as_alice: Client, alice: User, app: App) -> None:
    page = f"/console/apps/{app.app_id}/"
    sent = {"name": "新的名称", "description": "新的描述"}
    reply = send_late(as_alice, page, sent)
    assert reply["Location"] == "/login/?next=/console/resubmit/"
    assert "登录后可以继续提交" in as_alice.get(reply["Location"]).content.decode()
    assert as_alice.session.get_expiry_age() <= kept_forms.KEPT_FOR.total_seconds()
    login = {"username": alice.username, "password": PASSWORD, "next": "/console/resubmit/"}
    assert as_alice.post("/login/", login)["Location"] == "/console/resubmit/"
    assert as_alice.session.get_expiry_age() == settings.SESSION_COOKIE_AGE
    offered = as_alice.get("/console/resubmit/").content.decode()
    for expected in (f'action="{page}"', 'value="新的名称"', f'href="{page}"'):
        assert expected in offered
    app.refresh_from_db()
    assert app.name == "门禁"
    assert as_alice.get("/console/resubmit/")["Location"] == "/console/"  # offered once


def test_a_kept_form_is_not_offered_to_another_user(as_alice: Client, bob: User, app: App) -> None:
    send_late(as_alice, f"/console/apps/{app.app_id}/", {"name": "x", "description": "x"})
    assert "kept_form" in as_alice.session
    as_alice.post("/login/", {"username": bob.username, "password": PASSWORD})
    assert as_alice.get("/console/resubmit/")["Location"] == "/console/"


def test_a_form_with_a_password_is_not_kept(as_alice: Client, app: App) -> None:
    path = f"/console/apps/{app.app_id}/keys/"
    reply = send_late(as_alice, path, {"act": "rotate", "overlap": "0", "password": PASSWORD})
    assert reply["Location"] == f"/login/?next={path}"
    assert PASSWORD not in str(dict(as_alice.session))


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/console/", "//evil.example/", "javascript:alert(1)"]
)
def test_the_login_redirects_only_within_the_console(client: Client, db: None, elsewhere: str) -> None:
    reply = client.post("/console/wallet/", headers={"Referer": elsewhere})
    assert reply["Location"] == "/login/?next=/console/wallet/"
    reply = client.get("/console/orders/quote/", headers={**HTMX, "HX-Current-URL": elsewhere})
    assert reply["HX-Redirect"] == "/login/?next=/console/orders/quote/"


@pytest.mark.browser
def test_the_login_is_never_loaded_into_a_part_of_a_page(visitor: Visitor, alice: User, app: App) -> None:
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
    visitor.console_messages.clear()  # the browser's own message about the 401
