"""Pages are Chinese by default and English after the switch, and completely translated."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import polib
import pytest
from django.conf import settings
from django.test import Client

from accounts.models import App, User
from billing.models import Order
from tests.console.screenshots import CONSOLE, PUBLIC
from tests.console.test_pages import pages_of

ENGLISH = Path(settings.BASE_DIR) / "locale/en/LC_MESSAGES/django.po"
CHINESE = re.compile(r"[\u4e00-\u9fff]")
# May be Chinese on an English page: the switch back, a customer's own names, the API's messages.
RIGHTLY = re.compile(r"简体中文|中文|门禁|一号楼门禁|核验|成功|base64 数据处理异常")


def test_every_message_is_translated() -> None:
    book = polib.pofile(str(ENGLISH))
    assert [entry.msgid for entry in book if not entry.translated()] == []
    assert [entry.msgid for entry in book if entry.fuzzy] == []
    assert [entry.msgid for entry in book if CHINESE.search(entry.msgstr)] == []


def test_placeholders_survive_the_translation() -> None:
    holder = re.compile(r"%\(\w+\)[sd]|%%|</?\w+")
    for entry in polib.pofile(str(ENGLISH)):
        for text in entry.msgstr_plural.values() if entry.msgid_plural else [entry.msgstr]:
            assert sorted(holder.findall(entry.msgid)) == sorted(holder.findall(text)), entry.msgid


def test_the_message_catalogue_is_up_to_date(tmp_path: Path) -> None:
    """Requires xgettext of gettext, as makemessages does; CI installs it."""
    assert shutil.which("xgettext"), "install gettext"
    copy = tmp_path / "tree"
    rooms = [
        "accounts",
        "billing",
        "common",
        "console",
        "embedded",
        "faceapi",
        "facecloud",
        "gallery",
        "inference",
        "operations",
        "templates",
        "locale",
        "manage.py",
    ]
    for room in rooms:
        source = Path(settings.BASE_DIR) / room
        (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / room)
    command = [
        sys.executable,
        "manage.py",
        "makemessages",
        "-l",
        "en",
        "--no-location",
        "--no-obsolete",
        "-v0",
    ]
    subprocess.run(command, cwd=copy, check=True, timeout=120)
    made = {entry.msgid for entry in polib.pofile(str(copy / "locale/en/LC_MESSAGES/django.po"))}
    assert made - {entry.msgid for entry in polib.pofile(str(ENGLISH))} == set()


def visible(page: str) -> str:
    """Return the text and the spoken attributes of a page, without code samples."""
    page = re.sub(r"<(script|pre|code)\b.*?</\1>", " ", page, flags=re.S)
    spoken = " ".join(
        re.findall(r'(?:aria-label|title|placeholder|alt|data-label|data-confirm)="([^"]*)"', page)
    )
    return re.sub(r"<[^>]+>", " ", page) + spoken


def test_no_page_mixes_its_languages(client: Client, as_alice: Client, app: App) -> None:
    order = Order.objects.filter(app=app).latest("pk")
    own = [path for path in [*CONSOLE.values(), *pages_of(app, order)] if not path.endswith(".csv")]
    for reader, path in [*((client, path) for path in PUBLIC.values()), *((as_alice, path) for path in own)]:
        reader.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
        page = reader.get(path).content.decode()
        assert '<html lang="en"' in page, path
        left = [line.strip() for line in visible(page).splitlines() if CHINESE.search(RIGHTLY.sub("", line))]
        assert left == [], path


@pytest.mark.django_db
def test_the_default_is_chinese_regardless_of_accept_language(client: Client) -> None:
    assert '<html lang="zh-CN"' in client.get("/", headers={"accept-language": "en-US,en"}).content.decode()


def test_the_switch_is_remembered_by_browser_and_account(as_alice: Client, alice: User) -> None:
    assert as_alice.post("/language/", {"language": "en", "next": "/console/"})["Location"] == "/console/"
    assert "Overview" in as_alice.get("/console/").content.decode()
    alice.refresh_from_db()
    assert alice.language == "en"
    as_alice.post("/language/", {"language": "xx", "next": "/console/"})
    assert "Overview" in as_alice.get("/console/").content.decode()
