"""在线调试 in a real browser: pictures chosen, dropped and pasted; what is drawn; the curl that is shown."""

import base64
import json
import os
import re
import subprocess
from collections.abc import Callable
from datetime import datetime
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import pytest
from PIL import Image
from playwright.sync_api import JSHandle, Locator, expect

from accounts import keys
from accounts.models import App, User
from billing import quota
from billing.models import Api
from console.templatetags import show
from inference.results import REASONS
from tests.console.conftest import Visitor

pytestmark = pytest.mark.browser

# A DataTransfer as the browser creates it for a drag from the desktop or a copied picture.
TRANSFER = """([name, type, data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type }));
  return transfer;
}"""


def transfer(visitor: Visitor, name: str, kind: str, data: bytes) -> JSHandle:
    visitor.page.wait_for_load_state()  # the scripts that take it have run
    return visitor.page.evaluate_handle(TRANSFER, [name, kind, base64.b64encode(data).decode()])


def drop(visitor: Visitor, name: str, kind: str, data: bytes) -> None:
    """Drag a file over the field and drop it, event by event."""
    carried = {"dataTransfer": transfer(visitor, name, kind, data)}
    for event in ("dragenter", "dragover", "drop"):
        visitor.page.dispatch_event("#drop", event, carried)


def paste(visitor: Visitor, name: str, kind: str, data: bytes) -> None:
    """Press Ctrl-V with a picture in the clipboard, whatever has the focus."""
    visitor.page.evaluate(
        "(clipboardData) => (document.activeElement ?? document.body).dispatchEvent("
        "new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }))",
        transfer(visitor, name, kind, data),
    )


Bring = Callable[[Visitor, str, str, bytes], None]


@pytest.mark.parametrize("bring", [drop, paste])
def test_an_uploaded_picture_is_sent_and_drawn(
    visitor: Visitor, alice: User, app: App, astronaut: bytes, bring: Bring
) -> None:
    page = visitor.page
    visitor.log_in(alice)
    visitor.open(f"/console/debug/?app={app.app_id}")
    expect(page.get_by_label("使用示例照片")).to_be_checked()
    bring(visitor, "me.png", "image/png", astronaut)
    expect(page.locator("#thumbs img")).to_have_attribute("alt", "me.png")
    expect(page.get_by_label("使用示例照片")).not_to_be_checked()
    visitor.press("发送请求")
    expect(page.locator("#result .mark-box")).to_have_count(1)
    expect(page.locator("#units-left")).to_contain_text("1,999 张")
    expect(page.get_by_role("status").filter(has_text="结果 code 0 成功")).to_have_count(1)
    expect(page.locator("#result figcaption")).to_contain_text("me.png")
    expect(page.locator("#result img")).to_have_js_property("naturalWidth", 512)
    expect(page.locator("#result img")).to_have_attribute("src", re.compile("^blob:"))


def test_reasons_for_poor_quality_are_shown(visitor: Visitor, alice: User, app: App) -> None:
    out = BytesIO()
    Image.new("RGB", (64, 64), "grey").save(out, "PNG")
    visitor.log_in(alice)
    visitor.open(f"/console/debug/?app={app.app_id}")
    drop(visitor, "grey.png", "image/png", out.getvalue())
    visitor.press("发送请求")
    expect(visitor.page.locator("#result figcaption")).to_contain_text("图片质量不满足要求：没有人脸")


def test_every_reason_has_a_text() -> None:
    assert tuple(show.REASONS) == REASONS


def test_dropped_and_pasted_pictures_are_added_and_can_be_removed(
    visitor: Visitor, alice: User, app: App, astronaut: bytes
) -> None:
    page = visitor.page
    visitor.log_in(alice)
    visitor.open(f"/console/debug/?app={app.app_id}")
    drop(visitor, "a.png", "image/png", astronaut)
    paste(visitor, "b.png", "image/png", astronaut)
    drop(visitor, "notes.txt", "text/plain", b"no picture")
    expect(page.locator("#thumbs img")).to_have_count(2)
    page.get_by_role("button", name="移除 a.png").click()
    expect(page.locator("#thumbs img")).to_have_count(1)
    visitor.press("发送请求")
    expect(page.locator("#result figcaption")).to_contain_text("b.png")


def slot(visitor: Visitor, name: str) -> Locator:
    """Return the drop zone of a slot of a comparison: A, B, "A 2"."""
    return visitor.page.locator(
        "[data-slot] label", has=visitor.page.get_by_label(f"图片 {name}", exact=True)
    )


def test_a_comparison_has_slots_that_name_their_files(
    visitor: Visitor, alice: User, app: App, astronaut: bytes
) -> None:
    page = visitor.page
    visitor.log_in(alice)
    visitor.open(f"/console/debug/?app={app.app_id}&api=face_compare")
    expect(page.locator("#files")).to_be_hidden()
    page.get_by_label("使用示例照片").uncheck()
    carried = {"dataTransfer": transfer(visitor, "first.png", "image/png", astronaut)}
    for event in ("dragenter", "dragover", "drop"):
        slot(visitor, "A").dispatch_event(event, carried)
    expect(slot(visitor, "A")).to_contain_text("first.png")
    expect(slot(visitor, "A").locator("img")).to_have_count(1)
    visitor.press("发送请求")
    expect(page.locator("#result")).to_contain_text("第 1 组缺少一张图片")
    paste(visitor, "second.png", "image/png", astronaut)
    expect(slot(visitor, "B")).to_contain_text("second.png")
    visitor.press("发送请求")
    expect(page.locator("#result")).to_contain_text("是同一个人")
    captions = page.locator("#result .pair figcaption")
    assert [text.strip() for text in captions.all_inner_texts()] == ["A first.png", "B second.png"]
    for image in page.locator("#result .pair img").all():
        expect(image).to_have_js_property("naturalWidth", 512)
    expect(page.locator("#result .pair img")).to_have_count(2)


def test_two_pairs_are_compared_in_one_request(
    visitor: Visitor, alice: User, app: App, astronaut: bytes
) -> None:
    page = visitor.page
    visitor.log_in(alice)
    visitor.open(f"/console/debug/?app={app.app_id}&api=face_compare")
    visitor.press("再加一组")
    for name in ("A 2", "B 2"):
        page.get_by_label(f"图片 {name}", exact=True).set_input_files(
            {"name": f"{name}.png", "mimeType": "image/png", "buffer": astronaut}
        )
    visitor.press("发送请求")
    expect(page.locator("#result .pair")).to_have_count(2)
    expect(page.locator("#result .pair").nth(1)).to_contain_text("B 2.png")


def test_the_details_of_a_face_are_shown_on_hover_and_on_focus(
    visitor: Visitor, alice: User, app: App
) -> None:
    visitor.log_in(alice)
    visitor.open(f"/console/debug/?app={app.app_id}&api=face_analyse")
    visitor.press("发送请求")
    words = visitor.page.locator("#result .mark-more")
    expect(words).to_be_hidden()
    mark = visitor.page.locator("#result .mark")
    mark.locator(".mark-box").hover()
    expect(words).to_be_visible()
    expect(words).to_contain_text("像素")
    visitor.page.mouse.move(0, 0)
    expect(words).to_be_hidden()
    mark.focus()
    expect(words).to_be_visible()


def test_an_api_that_was_not_ordered_has_a_link_to_its_order(visitor: Visitor, alice: User, app: App) -> None:
    page = visitor.page
    visitor.log_in(alice)
    visitor.open(f"/console/debug/?app={app.app_id}")
    note = page.locator("#units-left .alert")
    expect(note).to_be_hidden()
    page.get_by_label("人脸搜索", exact=True).check(force=True)
    expect(note).to_contain_text("还没有开通人脸搜索")
    note.get_by_role("link", name="去订购").click()
    expect(page).to_have_url(re.compile(rf"orders/new/\?app={app.app_id}&api=face_search"))


def test_the_reply_can_be_folded_and_copied_as_json(visitor: Visitor, alice: User, app: App) -> None:
    visitor.log_in(alice)
    visitor.open(f"/console/debug/?app={app.app_id}")
    visitor.press("发送请求")
    reply = visitor.page.locator("#reply-json")
    assert json.loads(reply.text_content() or "")["code"] == 0
    visitor.press("折叠或展开")
    expect(reply.locator("details[open]")).to_have_count(1)
    assert json.loads(reply.text_content() or "")["code"] == 0


def test_the_page_reports_that_it_is_offline(visitor: Visitor, alice: User, app: App) -> None:
    page = visitor.page
    visitor.log_in(alice)
    visitor.open(f"/console/debug/?app={app.app_id}")
    alert = page.locator("[data-request-failed]")
    page.context.set_offline(True)
    expect(alert).to_contain_text("没有连上服务器，请检查网络后重试。")
    page.context.set_offline(False)
    expect(alert).to_be_hidden()


def test_pasted_text_goes_into_the_focused_field(visitor: Visitor, alice: User, app: App) -> None:
    visitor.log_in(alice)
    visitor.open(f"/console/debug/?app={app.app_id}")
    visitor.page.locator("#urls").focus()
    kept = visitor.page.evaluate(
        "() => { const data = new DataTransfer(); data.setData('text/plain', 'https://example.org/a.png');"
        " return document.activeElement.dispatchEvent("
        "new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true })); }"
    )
    assert kept, "the page took a paste that was not its own"


def test_the_comparison_is_drawn(visitor: Visitor, alice: User, app: App) -> None:
    visitor.log_in(alice)
    visitor.open(f"/console/debug/?app={app.app_id}&api=face_compare")
    visitor.press("发送请求")
    expect(visitor.page.locator("#result")).to_contain_text("是同一个人")
    expect(visitor.page.locator("#result")).to_contain_text("每 100,000 对不到 1 对会达到")
    expect(visitor.page.locator("#result .canvas img")).to_have_count(2)


@pytest.mark.parametrize(
    ("confidence", "said"),
    [
        (49.999, ""),
        (60.0, "同性别、同年龄段、同族群的不同人之间，约每 1,000 对有 1 对会达到"),
        (77.125, "同性别、同年龄段、同族群的不同人之间，约每 52,000 对有 1 对会达到"),
        (80.0, "同性别、同年龄段、同族群的不同人之间，约每 100,000 对有 1 对会达到"),
        (80.001, "同性别、同年龄段、同族群的不同人之间，每 100,000 对不到 1 对会达到"),
        (100.0, "同性别、同年龄段、同族群的不同人之间，每 100,000 对不到 1 对会达到"),
    ],
)
def test_a_confidence_states_its_false_match_rate(confidence: float, said: str) -> None:
    assert show.by_chance(confidence) == said


def test_a_chosen_picture_is_drawn_from_the_browsers_own_copy(
    visitor: Visitor, alice: User, app: App, astronaut: bytes
) -> None:
    visitor.log_in(alice)
    visitor.open(f"/console/debug/?app={app.app_id}&api=face_analyse")
    visitor.page.set_input_files("#files", {"name": "a.png", "mimeType": "image/png", "buffer": astronaut})
    expect(visitor.page.locator("#thumbs img")).to_have_count(1)
    visitor.press("发送请求")
    expect(visitor.page.locator("#result .mark-list")).to_contain_text("岁")
    expect(visitor.page.locator("#result img")).to_have_attribute("src", re.compile("^blob:"))


def test_the_curl_that_is_shown_works_in_a_shell(
    visitor: Visitor, alice: User, app: App, astronaut: bytes, tmp_path: Path
) -> None:
    visitor.log_in(alice)
    visitor.open(f"/console/debug/?app={app.app_id}&api=face_compare")
    picture = {"name": "it's me.png", "mimeType": "image/png", "buffer": astronaut}
    for side in "AB":
        visitor.page.get_by_label(f"图片 {side}", exact=True).set_input_files(picture)
    visitor.press("发送请求")
    shown = visitor.page.get_by_role("region", name="curl + openssl").text_content() or ""
    (tmp_path / "it's me.png").write_bytes(astronaut)
    environment = {**os.environ, "FACECLOUD_SECRET_KEY": keys.secret_of(app.keys.get())}
    ran = subprocess.run(
        ["sh", "-c", shown], cwd=tmp_path, env=environment, capture_output=True, timeout=60, check=True
    )
    answer = json.loads(ran.stdout)
    assert answer["code"] == 0, answer
    assert answer["result"][0]["face_compare"] == "true"


def set_language(visitor: Visitor, language: str) -> None:
    visitor.page.context.add_cookies([{"name": "django_language", "value": language, "url": visitor.url}])


@pytest.mark.parametrize(
    ("language", "send", "told"),
    [
        (
            "zh-hans",
            "发送请求",
            ["请求文件格式不支持", "不支持 gif 格式", "出错的图片（比对时为组）序号：1", "PNG"],
        ),
        (
            "en",
            "Send request",
            ["The image format is not supported", "gif is not served", "(face_compare: pair): 1", "PNG"],
        ),
    ],
)
def test_a_refused_picture_is_named_with_the_reason(
    visitor: Visitor, alice: User, app: App, language: str, send: str, told: list[str]
) -> None:
    visitor.log_in(alice)
    set_language(visitor, language)
    visitor.open(f"/console/debug/?app={app.app_id}")
    gif = {"name": "a.gif", "mimeType": "image/png", "buffer": b"GIF89a" + b"0" * 90}
    visitor.page.set_input_files("#files", gif)
    visitor.page.locator("input[name=sample]").check()
    visitor.press(send)
    expect(visitor.page.locator("#result")).to_contain_text("code 4002")
    alert = visitor.page.locator("#result").get_by_role("alert")
    for words in told:
        expect(alert).to_contain_text(words)


@pytest.mark.parametrize(
    ("language", "send", "told", "untold"),
    [
        ("zh-hans", "发送请求", "剩余调用量为 0，不足以处理本次请求的 1 张图片", "remaining units"),
        ("en", "Send request", "remaining units: 0, fewer than this request with 1 image", "剩余调用量"),
    ],
)
def test_an_error_is_shown_in_the_language_of_the_page(
    visitor: Visitor, alice: User, app: App, now: datetime, language: str, send: str, told: str, untold: str
) -> None:
    quota.reserve(call_id=uuid4(), app=app, api=Api.FACE_DETECT, images=2000, at=now)
    visitor.log_in(alice)
    set_language(visitor, language)
    visitor.open(f"/console/debug/?app={app.app_id}")
    visitor.press(send)
    alert = visitor.page.locator("#result").get_by_role("alert")
    expect(alert).to_contain_text(told)
    expect(alert).not_to_contain_text(untold)
