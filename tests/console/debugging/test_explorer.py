"""API 探索: a form for every option of the OpenAPI description; the request as a program."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from playwright.sync_api import Page, expect
from pytest_django import Settings

from accounts import keys
from accounts.models import App, User
from billing.models import Api
from console.debugging.debugger import Draft, Picture
from console.documentation import json_view
from console.documentation.programs import LANGUAGES, Request, placeholder, programs
from console.explorer import hints
from console.explorer.fields import Field, body_fields, body_of, header_fields, picture_names
from console.explorer.operations import operations, resolved
from gallery.models import Group
from tests import purchases
from tests.console.conftest import Place, Visitor

COMMANDS = {
    "call.sh": ["sh"],
    "call.py": ["python3"],
    "FaceCloudCall.java": ["java"],
    "call.go": ["go", "run"],
    "call.mjs": ["node"],
    "call.php": ["php"],
}
NASTY = 'it\'s "a" \\ note\n`$HOME` ${x} 员工 \U0001f600 %s @picture-1'


def all_fields(fields: list[Field]) -> Iterator[Field]:
    for one in fields:
        yield one
        yield from all_fields(one.children)


def properties(schema: dict[str, Any]) -> Iterator[str]:
    """Yield the names of all properties of a request, however deep."""
    schema = resolved(schema)
    for name, part in schema.get("properties", {}).items():
        yield name
        yield from properties(part)
    if "items" in schema:
        yield from properties(schema["items"])


def test_every_api_and_every_option_has_a_field() -> None:
    assert len(operations()) == 10
    for operation in operations().values():
        fields = list(all_fields(body_fields(operation)))
        assert set(properties(operation.body)) <= {one.label for one in fields}, operation.name
        assert [one.label for one in header_fields(operation)] == ["Idempotency-Key"]


def test_every_option_is_explained() -> None:
    for operation in operations().values():
        for one in all_fields([*body_fields(operation), *header_fields(operation)]):
            is_entry = one.label.isdecimal() or one.kind == "picture"
            assert is_entry or hints.hint(one.path if one.kind != "text" else one.label), (
                operation.name,
                one,
            )


def filled(api: str, sent: dict[str, str], **pictures: str) -> dict[str, Any]:
    return body_of(
        body_fields(operations()[api]), sent, {k.replace("_", "."): v for k, v in pictures.items()}
    )


def test_an_empty_form_sends_what_is_required_only() -> None:
    assert filled("face_detect", {}) == {"data": []}
    assert filled("face_group_list", {"data.0.on": "1"}) == {"data": [{}]}


def test_a_filled_form_becomes_the_body() -> None:
    assert filled(
        "face_search",
        {
            "data.0.on": "1", "data.1.on": "1", "options.groups": " staff\nguests ", "options.top": "3",
            "options.min_confidence": "72.5", "options.faces": "all", "options.quality": "true",
        },
        data_0="https://example.org/a.png", data_1="https://example.org/b.png",
    ) == {
        "data": ["https://example.org/a.png", "https://example.org/b.png"],
        "options": {
            "groups": ["staff", "guests"], "top": 3, "min_confidence": 72.5, "faces": "all", "quality": True,
        },
    }  # fmt: skip
    assert filled("face_compare", {"data.0.on": "1"}, data_0_0="a", data_0_1="b") == {"data": [["a", "b"]]}
    assert filled(
        "face_person_add",
        {
            "data.0.on": "1", "data.0.group_id": "staff", "data.0.person_id": "1001",
            "options.unique": "false",
            "data.0.consent.reference": "HR-12", "data.0.consent.expires_at_ms": "1798732800000",
        },
        data_0_image="x",
    ) == {
        "data": [{
            "group_id": "staff", "person_id": "1001", "image": "x",
            "consent": {"reference": "HR-12", "expires_at_ms": 1798732800000},
        }],
        "options": {"unique": False},
    }  # fmt: skip


@pytest.mark.parametrize("text", ["many", "nan", "1e999", "٣x"])
def test_text_in_a_number_field_is_sent_unchanged(text: str) -> None:
    body = filled("face_search", {"options.top": text})
    assert body["options"] == {"top": text}
    json.loads(json.dumps(body, allow_nan=False))


def test_every_picture_of_a_form_is_found() -> None:
    assert picture_names(body_fields(operations()["face_compare"]))[:3] == [
        "data.0.0",
        "data.0.1",
        "data.1.0",
    ]
    assert picture_names(body_fields(operations()["face_person_add"]))[0] == "data.0.image"


def test_without_the_gallery_its_apis_are_not_offered(settings: Settings) -> None:
    settings.GALLERY = False
    assert list(operations()) == ["face_detect", "face_analyse", "face_compare"]


# --- Programs -----------------------------------------------------------------------------


def test_a_program_contains_the_request_and_never_the_secret() -> None:
    request = Request("https://face.example.com", "/v1/face_detect.json", "0123456789abcdef", "{}", {}, {})
    for one in programs(request):
        assert "https://face.example.com" in one.text
        assert "/v1/face_detect.json" in one.text
        assert "0123456789abcdef" in one.text
        assert "FACECLOUD_SECRET_KEY" in one.text
        assert not re.search(r"@[A-Z_]+@", one.text), one.name
        assert "base64" not in one.text, "no file, no reading of files"


@pytest.fixture
def bought(app: App, alice: User, place: Place, now: Any) -> App:
    purchases.pay(place(alice, Api.FACE_SEARCH, app=app), now)
    return app


def run(file: str, text: str, folder: Path, secret: str, *, status: int = 0) -> dict[str, Any]:
    program, *options = COMMANDS[file]
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    (folder / file).write_text(text, encoding="utf-8")
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "FACECLOUD_SECRET_KEY": secret,
    }  # fmt: skip
    done = subprocess.run(
        [program, *options, file], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


@pytest.mark.end_to_end
@pytest.mark.parametrize("file", [one.file for one in LANGUAGES])
def test_each_program_makes_the_call(
    file: str, site: str, transactional_db: None, bought: App, astronaut: bytes, tmp_path: Path
) -> None:
    """First a group whose name has every kind of quote, then pictures from files with such names."""
    key = bought.keys.get()
    secret = keys.secret_of(key)
    body = json.dumps({"data": [{"group_id": "staff", "name": NASTY.replace("\n", " ")}]}, ensure_ascii=False)
    draft = Draft("/face/api/v1/face_group_add.json", body, headers={"Idempotency-Key": f"it's-{file}"})
    written = {one.file: one.text for one in draft.programs(site, key.key)}
    assert run(file, written[file], tmp_path, secret)["result"] == [{"group_id": "staff", "created": True}]
    again = run(file, written[file], tmp_path, secret)  # with another signature, and the same key
    assert again["result"] == [{"group_id": "staff", "created": True}]
    assert run(file, written[file], tmp_path, "0" * 32, status=1)["code"] == 4104
    assert Group.objects.get(app=bought).name == NASTY.replace("\n", " ")
    name = 'it\'s $me "1".png'
    (tmp_path / name).write_bytes(astronaut)
    files = {placeholder(1): Picture(name, data=astronaut), placeholder(2): Picture(name, data=astronaut)}
    body = json.dumps({"data": list(files), "options": {"quality": True}})
    written = {
        one.file: one.text for one in Draft("/v1/face_detect.json", body, files).programs(site, key.key)
    }
    reply = run(file, written[file], tmp_path, secret)
    assert [len(one["face_list"]) for one in reply["result"]] == [1, 1]
    assert "quality" in reply["result"][0]


# --- JSON that folds ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [{}, [], "<b>", None, 1.5, {"a": [], "b": {}}, {"a": [1, {"b": "<i>&"}, [True, None]], "员工": "\n"}],
)
def test_the_text_of_folded_json_is_json(value: Any) -> None:
    shown = str(json_view.folded(value))
    text = re.sub(r"<[^>]+>", "", shown)
    plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&#x27;", "'")
    assert plain.replace("&amp;", "&").rstrip("\n") == json.dumps(value, ensure_ascii=False, indent=2)
    assert shown.count("<details open>") == shown.count("<details")


def test_long_json_opens_folded_and_very_long_json_does_not_fold() -> None:
    face = {"location": {"left": 1, "top": 2}, "landmark": {"nose": {"x": 1, "y": 2}}}
    long = json_view.folded({"result": [{"face_list": [face] * 20}]})
    assert "<details><summary" in long
    assert "<details" not in json_view.folded({"result": [{"face_list": [face] * 500}]})


# --- The page -----------------------------------------------------------------------------


def test_every_api_has_a_page(as_alice: Client, app: App) -> None:
    for name, operation in operations().items():
        page = as_alice.get(f"/console/explorer/?app={app.app_id}&api={name}").content.decode()
        for one in all_fields(body_fields(operation)):
            if one.kind not in ("object", "entries", "pair"):
                assert f'name="{one.name}"' in page, one.name
    assert as_alice.get("/console/explorer/?api=nothing&entries=x").status_code == 200


def test_another_customers_app_is_404(as_bob: Client, app: App) -> None:
    assert as_bob.get(f"/console/explorer/?app={app.app_id}").status_code == 404
    assert as_bob.post("/console/explorer/", {"app": app.app_id, "api": "face_detect"}).status_code == 404


def test_the_form_needs_a_csrf_token(alice: User, app: App) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert client.post("/console/explorer/", {"app": app.app_id}).status_code == 403


def test_the_code_can_be_generated_without_sending_the_request(as_alice: Client, app: App) -> None:
    sent = {
        "app": app.app_id,
        "api": "face_detect",
        "act": "code",
        "data.0.on": "1",
        "data.0": "https://e.org/a.png",
    }
    page = as_alice.post("/console/explorer/", sent).content.decode()
    assert "https://e.org/a.png" in page
    assert app.keys.get().key in page
    assert keys.secret_of(app.keys.get()) not in page
    assert "data-sent" not in page


def test_a_header_that_cannot_be_sent_is_refused(as_alice: Client, app: App) -> None:
    sent = {"app": app.app_id, "api": "face_detect", "header.Idempotency-Key": "a\r\nX-Evil: 1"}
    assert "请求头只能包含可见的 ASCII 字符" in as_alice.post("/console/explorer/", sent).content.decode()


def test_a_deletion_without_javascript_is_confirmed_on_a_page(as_alice: Client, app: App) -> None:
    sent = {"app": app.app_id, "api": "face_group_delete", "data.0.on": "1", "data.0.group_id": "staff"}
    page = as_alice.post("/console/explorer/", sent).content.decode()
    assert "这会真的删除" in page
    for name, value in sent.items():
        assert f'name="{name}" value="{value}"' in page


def test_files_over_the_limit_are_refused(as_alice: Client, app: App) -> None:
    files = {
        f"data.{n}.file": SimpleUploadedFile(f"{n}.jpg", b"\xff" * 9_000_000, "image/jpeg") for n in range(3)
    }
    reply = as_alice.post("/console/explorer/", {"app": app.app_id, "api": "face_detect", **files})
    assert "图片合计超过 24 MB" in reply.content.decode()


def code_of(page: Page, language: str) -> str:
    page.get_by_role("tab", name=language).click()
    return page.get_by_role("tabpanel").locator("pre code").text_content() or ""


@pytest.mark.browser
def test_a_call_is_sent_shown_as_code_and_kept_in_the_history(
    visitor: Visitor, alice: User, app: App, tmp_path: Path, astronaut: bytes
) -> None:
    page = visitor.page
    visitor.log_in(alice)
    visitor.open(f"/console/explorer/?app={app.app_id}")
    page.get_by_label("接口", exact=True).select_option("face_analyse")
    page.wait_for_url("**api=face_analyse*")
    page.get_by_label("quality").select_option("true")
    visitor.press("发送请求")
    reply = page.locator("#reply-json")
    expect(reply).to_contain_text('"age"')
    sent_quality = json.loads(reply.text_content() or "")["result"][0]["quality"]
    expect(page.locator("#units-left")).to_contain_text("1,999 张")
    assert visitor.axe() == []
    (tmp_path / "sample.png").write_bytes(astronaut)
    again = run("call.py", code_of(page, "Python"), tmp_path, keys.secret_of(app.keys.get()))
    assert again["result"][0]["quality"] == sent_quality

    history = page.locator("#history-list li")
    expect(history).to_have_count(1)
    expect(history).to_contain_text("code 0")
    kept = page.evaluate("JSON.stringify(localStorage)")
    assert "base64" not in kept
    assert "csrf" not in kept
    page.get_by_label("接口", exact=True).select_option("face_detect")
    page.wait_for_url("**api=face_detect*")
    history.get_by_role("button").click()
    page.wait_for_url("**api=face_analyse*")
    expect(page.get_by_label("quality")).to_have_value("true")
    page.locator("#user-menu summary").click()
    page.get_by_role("button", name="退出登录").click()
    page.wait_for_url(lambda url: "/console/" not in url)
    assert "explorer-history" not in page.evaluate("JSON.stringify(localStorage)")


@pytest.mark.browser
def test_entries_can_be_added_and_a_deletion_is_confirmed(visitor: Visitor, alice: User, bought: App) -> None:
    page = visitor.page
    visitor.log_in(alice)
    visitor.open(f"/console/explorer/?app={bought.app_id}&api=face_group_add")
    page.locator("#f-data-0-group_id").fill("staff")
    visitor.press("添加一项")
    page.locator("#f-data-1-group_id").fill("guests")
    visitor.press("发送请求")
    expect(page.locator("#result")).to_contain_text("code 0")
    assert sorted(Group.objects.values_list("group_id", flat=True)) == ["guests", "staff"]
    visitor.open(f"/console/explorer/?app={bought.app_id}&api=face_group_delete")
    page.locator("#f-data-0-group_id").fill("guests")
    visitor.press("只生成代码")
    expect(page.locator("#result")).to_contain_text("face_group_delete")
    visitor.press("发送请求")
    dialog = page.locator("#confirm")
    expect(dialog).to_contain_text("这会真的删除")
    dialog.get_by_role("button", name="取消").click()
    assert Group.objects.count() == 2
    visitor.press("发送请求")
    dialog.get_by_role("button", name="发送请求").click()
    expect(page.locator("#result")).to_contain_text("deleted_faces")
    assert Group.objects.count() == 1
