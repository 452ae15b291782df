"""人脸库 in a real browser: pictures are dropped, enrolled or refused, searched for and erased."""

from datetime import datetime
from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import expect

from accounts.models import App, User
from billing.models import Api, Period
from gallery import groups
from gallery.groups import Wanted
from gallery.models import Face, Group, Person, TrailEntry
from gallery.trail import Actor
from tests import purchases
from tests.console.conftest import Visitor
from tests.console.debugging.test_debug_page import drop
from tests.gallery.conftest import app_of, store, template

pytestmark = pytest.mark.browser


@pytest.fixture
def app(app: App, alice: User, now: datetime) -> App:
    """Return the App with a month of face_search too."""
    return purchases.pay(purchases.place(alice, api=Api.FACE_SEARCH, app=app, at=now), now)


def picture(colour: str) -> bytes:
    out = BytesIO()
    Image.new("RGB", (200, 200), colour).save(out, "PNG")
    return out.getvalue()


def test_a_person_is_enrolled_found_and_erased_with_the_mouse(
    visitor: Visitor, alice: User, app: App, astronaut: bytes
) -> None:
    page = visitor.page
    visitor.log_in(alice)
    visitor.open(f"/console/apps/{app.app_id}/gallery/")
    page.get_by_label("组 ID").fill("staff")
    page.get_by_label("名称").fill("员工")
    visitor.press("新建")
    expect(page.get_by_role("heading", name="组里还没有人")).to_be_visible()

    drop(visitor, "zhang san_1.png", "image/png", astronaut)
    drop(visitor, "nobody.png", "image/png", picture("grey"))
    drop(visitor, "李四.png", "image/png", astronaut)
    drop(visitor, "notes.txt", "text/plain", b"no picture")
    expect(page.locator("#chosen")).to_contain_text("3")
    page.get_by_label("同意书编号").fill("HR-12")
    visitor.press("入库")
    expect(page.locator("#progress-text")).to_contain_text("3 / 3")
    rows = page.locator("#rows tr")
    expect(rows).to_have_count(3)
    expect(rows.filter(has_text="zhang san_1.png")).to_contain_text("已入库")
    expect(rows.filter(has_text="nobody.png")).to_contain_text("4304")
    expect(rows.filter(has_text="nobody.png")).to_contain_text("没有人脸")
    expect(rows.filter(has_text="李四.png")).to_contain_text("文件名里没有可用的人员 ID")
    expect(page.locator("#chosen")).to_have_text("已选择 2 张图片")  # the refused ones
    expect(page.locator("#group-persons")).to_contain_text("1 张人脸")
    expect(page.locator("#units-left")).to_contain_text("999 张")
    person = Person.objects.get()
    assert person.person_id == "zhang-san"
    assert sum(Period.objects.filter(app=app, api=Api.FACE_SEARCH).values_list("used", flat=True)) == 1

    page.reload()
    visitor.follow("用图片搜索")
    expect(page.get_by_label("人脸搜索", exact=True)).to_be_checked()
    visitor.press("发送请求")
    expect(page.locator("#result .mark-label").first).to_contain_text("zhang-san")

    visitor.open(f"/console/apps/{app.app_id}/persons/{person.pk}/")
    visitor.press("删除人员")
    page.get_by_role("dialog").get_by_role("button", name="删除人员").click()
    expect(page.get_by_text("已删除，无法恢复。")).to_be_visible()
    assert not Face.objects.exists()
    visitor.open(f"/console/apps/{app.app_id}/trail/")
    expect(page.locator("tbody tr")).to_have_count(4)
    expect(page.locator("tbody")).not_to_contain_text("API")
    assert {entry.by_id for entry in TrailEntry.objects.all()} == {alice.pk}


def test_the_debugger_does_not_search_another_customers_gallery(
    visitor: Visitor, alice: User, app: App, astronaut: bytes, now: datetime
) -> None:
    foreign = app_of("mallory", now)
    groups.add(foreign, [Wanted("vault-4711", "机密")], now, Actor())
    store(foreign, "victim", template(9), at=now, group_id="vault-4711")
    groups.add(app, [Wanted("staff", "员工")], now, Actor())
    page = visitor.page
    visitor.log_in(alice)
    visitor.open(f"/console/debug/?app={app.app_id}&api=face_search&groups=vault-4711")
    expect(page.locator("#groups-to-search")).not_to_contain_text("vault-4711")
    # Sent as if the page had offered that group: the App's own groups are searched instead.
    page.locator("#groups-to-search input").evaluate(
        "box => { box.value = 'vault-4711'; box.checked = true; }"
    )
    visitor.press("发送请求")
    expect(page.locator("#result")).to_contain_text('"person_list": []')
    expect(page.locator("#result")).not_to_contain_text("vault-4711")

    visitor.open(f"/console/debug/?app={app.app_id}&api=face_compare")
    page.get_by_label("使用示例照片").uncheck()
    page.get_by_label("图片 URL A", exact=True).fill("face:vault-4711/victim")
    page.get_by_label("图片 URL B", exact=True).fill("face:vault-4711/victim")
    visitor.press("发送请求")
    expect(page.locator("#result")).to_contain_text("4301")
    assert Group.objects.get(app=foreign).faces == 1
    assert not TrailEntry.objects.filter(app=foreign, action__in=["search", "compare"]).exists()
    page.evaluate("() => undefined")
    reply = page.request.get(f"{visitor.url}/console/debug/?app={foreign.app_id}&api=face_search")
    assert reply.status == 404
