"""The documentation pages: code and names of fields look as they are written."""

import re

import pytest
from django.test import Client
from pytest_django import Settings

from inference import scoring


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
    for confidence, strangers in ((60, "1,000"), (70, "10,000"), (80, "100,000"), (90, "1,000,000")):
        assert re.search(rf"<td>{confidence}</td><td [^>]*>1 pair in {strangers}</td>", page)
    assert 'face_compare is "true" from 72.5 up' in page
    assert scoring.table_version() in page


@pytest.mark.django_db
def test_names_of_fields_are_set_as_code(client: Client) -> None:
    client.cookies["django_language"] = "en"
    page = client.get("/docs/errors/").content.decode()
    assert "There is no <code>data</code>, it is no list" in page
    assert "`" not in page
