"""The documentation pages: code and field names are shown exactly as written."""

import html
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from django.test import Client
from playwright.sync_api import expect
from pytest_django import Settings

from accounts import keys
from accounts.models import App
from console.documentation import model_card, samples
from inference.calibration import scoring, tables
from tests.client.samples import COMMANDS
from tests.client.test_samples import BODY, GOLDEN, SECRET, VECTOR
from tests.console.conftest import Visitor
from tests.console.screenshots import PUBLIC
from tests.markup import markup


@pytest.mark.django_db
def test_angle_brackets_in_code_are_shown(client: Client) -> None:
    """Django treats a literal in a template as safe: without force_escape, <Sign> would be an element."""
    page = client.get("/docs/signing/").content.decode()
    assert "&lt;Sign&gt; = HexEncode(HMAC_sha256(&lt;SecretKey&gt;, &lt;RequestStr&gt;))" in page
    assert "CTYUN &lt;AppKey&gt;:&lt;Sign&gt;" in page


@pytest.mark.django_db
def test_the_meaning_of_confidence_is_published_with_its_version(client: Client, settings: Settings) -> None:
    settings.COMPARE_SAME_FROM = 72.5
    client.cookies["django_language"] = "en"
    page = markup(client.get("/docs/face_compare/"))
    for confidence, strangers in ((60, "1,000"), (70, "10,000"), (80, "100,000")):
        assert re.search(rf"<td>{confidence}</td><td [^>]*>1 pair in {strangers}</td>", page)
    assert re.search(r"<td>Above 80</td><td [^>]*>Rarer; there is too little data for a figure", page)
    assert "<td>90</td>" not in page
    assert 'face_compare is "true" if the confidence is at least 72.5' in page
    assert scoring.table_version() in page


@pytest.mark.django_db
def test_the_default_of_min_confidence_is_that_of_the_installation(
    client: Client, settings: Settings
) -> None:
    settings.COMPARE_SAME_FROM = 72.5
    client.cookies["django_language"] = "en"
    assert "the lowest confidence, 72.5 by default" in markup(client.get("/docs/face_search/"))


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_model_card_shows_the_numbers_of_the_calibration_set(client: Client, language: str) -> None:
    client.cookies["django_language"] = "en" if language == "en" else "zh-hans"
    page = markup(client.get("/docs/model-card/"))
    for row in tables.load("card")["strangers"]:
        assert f"<td>{row['rates'][0][0] * 100:.2f}\N{NO-BREAK SPACE}%" in page
        assert f"<td>{row['pairs']:,}</td>" in page
    for row in tables.load("card")["attributes"]:
        assert f"<td>{row['gender_right'] * 100:.1f}\N{NO-BREAK SPACE}%</td>" in page
    assert tables.version() in page
    assert "<!--" not in page
    assert 'href="model-card' not in page
    assert ("Not for" if language == "en" else "不适用") in page


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_published_model_card_equals_the_calibration_file(language: str) -> None:
    """`bin/bench card` writes it."""
    published = (model_card.DOCS / model_card.FILES[language]).read_text()
    assert published == model_card.text(language)
    assert published.count("<!-- table: ") == published.count("<!-- end -->") == 5


@pytest.mark.django_db
def test_names_of_fields_are_shown_as_code(client: Client) -> None:
    client.cookies["django_language"] = "en"
    page = client.get("/docs/errors/").content.decode()
    assert "<code>data</code> is missing, not a list or empty" in page
    assert "`" not in page


PAGES_OF_DOCS = [path for name, path in PUBLIC.items() if name.startswith("docs")]


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_the_secret_has_one_name(client: Client, language: str) -> None:
    client.cookies["django_language"] = language
    for path in PAGES_OF_DOCS:
        page = client.get(path).content.decode()
        assert not re.search(r"app ?secret|secret key", page, re.IGNORECASE), path
    assert "SecretKey" in client.get("/docs/signing/").content.decode()


def shown_text(page: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", page))


@pytest.mark.django_db
def test_a_visitor_sees_the_unmodified_samples(client: Client) -> None:
    page = shown_text(client.get("/docs/samples/").content.decode())
    for sample in samples.LANGUAGES.values():
        assert sample.text in page, sample.file
        reply = client.get(f"/docs/samples/{sample.file}")
        assert reply.content.decode() == sample.text
        assert reply["Content-Disposition"] == f'attachment; filename="{sample.file}"'
    assert client.get("/docs/samples/other.py").status_code == 404
    assert client.get("/docs/samples/..%2F..%2Fmanage.py").status_code == 404


def test_samples_contain_the_app_key_and_never_the_secret(as_alice: Client, app: App) -> None:
    key = app.keys.get()
    page = shown_text(as_alice.get(f"/docs/samples/?app={app.app_id}").content.decode())
    assert f"export FACECLOUD_APP_KEY={key.key}" in page
    for file in samples.LANGUAGES:
        text = as_alice.get(f"/docs/samples/{file}?app={app.app_id}").content.decode()
        assert text in page, file
        assert key.key in text, file
        assert "http://testserver" in text, file
        assert "FACECLOUD_SECRET_KEY" in text, file
        assert keys.secret_of(key) not in text
    assert keys.secret_of(key) not in page


def test_another_customers_app_key_is_not_filled_in(as_bob: Client, app: App) -> None:
    assert as_bob.get(f"/docs/samples/?app={app.app_id}").status_code == 404
    assert as_bob.get(f"/docs/samples/facecloud.py?app={app.app_id}").status_code == 404


@pytest.mark.parametrize("file", sorted(samples.LANGUAGES))
def test_a_sample_with_an_app_key_still_signs(file: str, tmp_path: Path) -> None:
    """Only the SecretKey is in its environment."""
    program, *options = COMMANDS[file]
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    values = {"FACECLOUD_URL": "https://face.example.com:8443", "FACECLOUD_APP_KEY": "0123456789abcdef"}
    (tmp_path / file).write_text(samples.LANGUAGES[file].fill(values))
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    done = subprocess.run(
        [program, *options, str(tmp_path / file), "--sign", *VECTOR, BODY],
        env={**environment, "FACECLOUD_SECRET_KEY": SECRET},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.strip() == GOLDEN


@pytest.mark.browser
def test_samples_are_shown_in_tabs(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open("/docs/samples/")
    tabs = page.get_by_role("tab")
    assert tabs.all_inner_texts() == [one.name for one in samples.LANGUAGES.values()]
    expect(page.get_by_role("tabpanel")).to_have_count(1)
    page.get_by_role("tab", name="Java").click()
    panel = page.get_by_role("tabpanel")
    expect(panel).to_contain_text("public class FaceCloud")
    page.keyboard.press("ArrowRight")
    expect(panel).to_contain_text("package main")
    expect(page.get_by_role("tab", name="Go")).to_be_focused()
    visitor.open("/docs/samples/")
    expect(page.get_by_role("tab", name="Go")).to_have_attribute("aria-selected", "true")
    coloured = panel.locator("code .hl-kd").first.evaluate("one => getComputedStyle(one).color")
    assert coloured != panel.locator("code").last.evaluate("one => getComputedStyle(one).color")
    with page.expect_download() as kept:
        panel.get_by_role("link", name="下载").click()
    assert kept.value.suggested_filename == "facecloud.go"
