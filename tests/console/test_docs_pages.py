"""The documentation pages: code and names of fields look as they are written."""

import re

import pytest
from django.test import Client
from pytest_django import Settings

from console.documentation import model_card
from inference.calibration import scoring, tables


@pytest.mark.django_db
def test_angle_brackets_in_code_are_shown(client: Client) -> None:
    """A literal in a template counts as safe: without force <Sign> would be taken for an element."""
    page = client.get("/docs/signing/").content.decode()
    assert "&lt;Sign&gt; = HexEncode(HMAC_sha256(&lt;AppSecret&gt;, &lt;RequestStr&gt;))" in page
    assert "CTYUN &lt;AppKey&gt;:&lt;Sign&gt;" in page


@pytest.mark.django_db
def test_what_a_confidence_means_is_published_with_its_version(client: Client, settings: Settings) -> None:
    settings.COMPARE_SAME_FROM = 72.5
    client.cookies["django_language"] = "en"
    page = client.get("/docs/face_compare/").content.decode()
    for confidence, strangers in ((60, "1,000"), (70, "10,000"), (80, "100,000")):
        assert re.search(rf"<td>{confidence}</td><td [^>]*>1 pair in {strangers}</td>", page)
    assert re.search(r"<td>Above 80</td><td [^>]*>Rarer, but the data carry no number", page)
    assert "<td>90</td>" not in page
    assert 'face_compare is "true" from 72.5 up' in page
    assert scoring.table_version() in page


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_model_card_shows_the_numbers_of_the_calibration_set(client: Client, language: str) -> None:
    client.cookies["django_language"] = "en" if language == "en" else "zh-hans"
    page = client.get("/docs/model-card/").content.decode()
    for row in tables.load("card")["strangers"]:
        assert f"<td>{row['rates'][0][0] * 100:.2f} %" in page
        assert f"<td>{row['pairs']:,}</td>" in page
    for row in tables.load("card")["attributes"]:
        assert f"<td>{row['gender_right'] * 100:.1f} %</td>" in page
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
def test_names_of_fields_are_set_as_code(client: Client) -> None:
    client.cookies["django_language"] = "en"
    page = client.get("/docs/errors/").content.decode()
    assert "There is no <code>data</code>, it is no list" in page
    assert "`" not in page
