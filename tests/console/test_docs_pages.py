"""The documentation pages: code and names of fields look as they are written."""

import pytest
from django.test import Client


@pytest.mark.django_db
def test_angle_brackets_in_code_are_shown(client: Client) -> None:
    """A literal in a template counts as safe: without force <Sign> would be taken for an element."""
    page = client.get("/docs/signing/").content.decode()
    assert "&lt;Sign&gt; = HexEncode(HMAC_sha256(&lt;AppSecret&gt;, &lt;RequestStr&gt;))" in page
    assert "CTYUN &lt;AppKey&gt;:&lt;Sign&gt;" in page


@pytest.mark.django_db
def test_names_of_fields_are_set_as_code(client: Client) -> None:
    client.cookies["django_language"] = "en"
    page = client.get("/docs/errors/").content.decode()
    assert "There is no <code>data</code>, it is no list" in page
    assert "`" not in page
