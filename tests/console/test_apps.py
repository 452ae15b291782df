"""Lists of many Apps: search, order, filters, tags, archive; the allow-list that the customer edits."""

import re

import pytest
from django.test import Client
from django.utils import timezone
from playwright.sync_api import expect
from pytest_django import Settings

from accounts.models import App, Region, User
from billing import orders
from billing.models import Order, OrderState, Package, Period
from billing.payments import refunds
from tests.console.conftest import Place, Visitor


@pytest.fixture
def many(alice: User, place: Place, settings: Settings) -> dict[str, App]:
    """Create three Apps: one has used half of its units, one none, and one is in another region."""
    settings.FREE_PACKAGES_PER_CUSTOMER = 99
    found = {}
    for name, api in (("前台", "face_detect"), ("门禁", "face_compare"), ("考勤", "face_detect")):
        order = place(alice, api, name=name)
        app = orders.pay(order, order.created_at).app
        assert app is not None
        found[name] = app
    Period.objects.filter(app=found["前台"]).update(used=1000)
    App.objects.filter(pk=found["考勤"].pk).update(region=Region.objects.get(code="cn-gz4"))
    return found


def names(client: Client, query: str) -> list[str]:
    page = client.get(f"/console/apps/?{query}")
    assert page.status_code == 200
    return [row.app.name for row in page.context["rows"]]


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", ["门禁", "前台"]),
        ("in=all", ["考勤", "门禁", "前台"]),
        ("in=cn-gz4", ["考勤"]),
        ("in=nowhere", ["门禁", "前台"]),
        ("in=all&sort=left", ["前台", "考勤", "门禁"]),
        ("in=all&sort=end", ["考勤", "门禁", "前台"]),
        ("in=all&sort=x", ["考勤", "门禁", "前台"]),
        ("in=all&api=face_compare", ["门禁"]),
        ("in=all&q=考", ["考勤"]),
        ("in=all&q=一号楼", ["考勤", "门禁", "前台"]),
        ("in=all&q=nothing", []),
        ("in=all&tag=nothing", []),
    ],
)
def test_apps_are_searched_sorted_and_filtered(
    as_alice: Client, many: dict[str, App], query: str, shown: list[str]
) -> None:
    assert names(as_alice, query) == shown


def test_apps_are_filtered_by_valid_tags(as_alice: Client, many: dict[str, App]) -> None:
    path = f"/console/apps/{many['门禁'].app_id}/"
    as_alice.post(path, {"act": "tags", "tags": "生产, 一期 生产"})
    many["门禁"].refresh_from_db()
    assert many["门禁"].tags == ["生产", "一期"]
    assert names(as_alice, "in=all&tag=生产") == ["门禁"]
    for wrong in ("a b c d e f", "x" * 17, "a*b"):
        refused = as_alice.post(path, {"act": "tags", "tags": wrong})
        assert refused.status_code == 422, wrong
        assert "不能有 ~!@#¥%^&amp;* 特殊字符" in refused.context["tags"].errors.as_ul(), wrong
    many["门禁"].refresh_from_db()
    assert many["门禁"].tags == ["生产", "一期"]


def test_an_archived_app_is_not_listed_and_can_be_restored(as_alice: Client, many: dict[str, App]) -> None:
    app = many["门禁"]
    as_alice.post(f"/console/apps/{app.app_id}/archive/", {"confirmed": "1"})
    assert "门禁" not in names(as_alice, "in=all")
    assert names(as_alice, "in=all&archived=1") == ["门禁"]
    assert app.app_id not in as_alice.get("/console/debug/").content.decode()
    assert as_alice.get(f"/console/apps/{app.app_id}/report/").status_code == 200
    as_alice.post(f"/console/apps/{app.app_id}/restore/")
    assert "门禁" in names(as_alice, "in=all")


@pytest.mark.parametrize(("used", "word"), [(2000, "已用完"), (1700, "即将用完")])
def test_the_state_of_the_units_is_shown_with_what_to_do(
    as_alice: Client, app: App, used: int, word: str
) -> None:
    Period.objects.filter(app=app, api="face_detect").update(used=used)
    order = f'href="/console/orders/new/?app={app.app_id}&amp;api=face_detect"'
    pages = {
        path: as_alice.get(path).content.decode()
        for path in (
            "/console/",
            "/console/apps/",
            f"/console/apps/{app.app_id}/report/",
            f"/console/debug/?app={app.app_id}",
        )
    }
    for path, page in pages.items():
        assert re.search(rf'<span class="badge badge-\w+">{word}</span>', page), path
        assert order in page, path
    (option,) = re.findall(rf'<option value="{app.app_id}".*?</option>', page, re.DOTALL)
    assert f"· 人脸检测定位 {word}" in option


def test_an_app_shows_its_limits(as_alice: Client, app: App) -> None:
    path = f"/console/apps/{app.app_id}/"
    assert len(re.findall(r"<dd>\s*不限\s*</dd>", as_alice.get(path).content.decode())) == 2
    App.objects.filter(pk=app.pk).update(rate_per_s=20, concurrency=3)
    page = as_alice.get(path).content.decode()
    assert re.search(r"每秒请求上限</dt>\s*<dd>\s*20\s+次/秒", page)
    assert re.search(r"并发上限</dt>\s*<dd>\s*3\s*</dd>", page)


def test_an_app_without_a_package_is_on_the_overview(as_alice: Client, app: App) -> None:
    clerk = User.objects.create_user("clerk", "clerk@example.com")
    for package in Package.objects.filter(app=app):
        refunds.refund(package, by=clerk, reason="test", at=timezone.now())
    page = as_alice.get("/console/").content.decode()
    assert app.app_id in page
    assert "没有有效的资源包" in page


def test_the_customer_edits_the_allow_list(as_alice: Client, app: App) -> None:
    path = f"/console/apps/{app.app_id}/"
    as_alice.post(path, {"act": "addresses", "addresses": "203.0.113.7\n 2001:db8::/32，198.51.100.9/24"})
    app.refresh_from_db()
    assert app.allowed_addresses == ["203.0.113.7/32", "2001:db8::/32", "198.51.100.0/24"]
    wrong = as_alice.post(path, {"act": "addresses", "addresses": "example.org"})
    assert wrong.status_code == 422
    assert "“example.org”不是 IP 地址或网段" in wrong.content.decode()
    many = " ".join(f"203.0.113.{n}" for n in range(101))
    assert "最多 100 个地址" in as_alice.post(path, {"act": "addresses", "addresses": many}).content.decode()
    as_alice.post(path, {"act": "addresses", "addresses": ""})
    app.refresh_from_db()
    assert app.allowed_addresses == []
    assert app.name == "门禁"


@pytest.mark.parametrize("act", ["archive", "restore"])
def test_another_customers_app_is_not_archived(as_bob: Client, app: App, act: str) -> None:
    assert as_bob.post(f"/console/apps/{app.app_id}/{act}/", {"confirmed": "1"}).status_code == 404


def test_a_destructive_action_without_javascript_is_confirmed_on_a_page(
    as_alice: Client, alice: User, app: App, place: Place
) -> None:
    order = place(alice)
    for path, question in (
        (f"/console/orders/{order.number}/cancel/", "取消后订单不能恢复"),
        (f"/console/apps/{app.app_id}/archive/", "归档后"),
    ):
        page = as_alice.post(path, {"next": "x"}, headers={"Referer": "http://testserver/console/"})
        assert page.status_code == 200
        for expected in (question, 'name="confirmed"', 'name="next" value="x"', 'href="/console/"'):
            assert expected in page.content.decode(), path
    assert Order.objects.get(pk=order.pk).state == OrderState.PENDING
    assert not App.objects.exclude(archived_at=None).exists()
    as_alice.post(f"/console/orders/{order.number}/cancel/", {"confirmed": "1"})
    assert Order.objects.get(pk=order.pk).state == OrderState.CANCELLED


@pytest.mark.browser
def test_the_description_is_shown_at_every_width(visitor: Visitor, alice: User, app: App) -> None:
    visitor.log_in(alice)
    visitor.open("/console/apps/")
    for width in (375, 700, 1024, 1081, 1280, 1380, 1440):
        visitor.page.set_viewport_size({"width": width, "height": 900})
        expect(visitor.page.locator("tbody").get_by_text("一号楼门禁")).to_be_visible()


@pytest.mark.browser
def test_an_app_is_archived_from_the_menu_of_its_row(visitor: Visitor, alice: User, app: App) -> None:
    page = visitor.page
    visitor.log_in(alice)
    visitor.open("/console/apps/")
    page.locator("tbody tr").first.get_by_role("button", name="更多").click()
    menu = page.locator(".menu-list:popover-open")
    expect(menu).to_be_in_viewport(ratio=1)
    assert visitor.axe() == []
    menu.get_by_role("link", name="详情与资源包").click()
    visitor.press("归档应用")
    page.get_by_role("dialog").get_by_role("button", name="归档应用").click()
    page.wait_for_url("**/console/apps/")
    expect(page.get_by_text("已归档。")).to_be_visible()
    app.refresh_from_db()
    assert app.archived_at is not None
