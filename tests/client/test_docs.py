"""The documentation agrees with the code: codes, limits, the golden vector, the files that it names."""

import hashlib
import hmac
import re
from pathlib import Path

import pytest
from facecloud_client.command import tables
from facecloud_client.request.batches import BATCH_BYTES, BATCH_IMAGES, MAX_IMAGES, MAX_PAIRS

from faceapi.authentication import signing
from faceapi.management.commands import code_tables
from inference.results import REASONS
from tests.client.samples import SAMPLES
from tests.client.test_samples import BODY, GOLDEN, SECRET
from tests.conftest import REPOSITORY

PAGES = [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), REPOSITORY / "client" / "README.md"]
API = (REPOSITORY / "docs" / "api.md").read_text(encoding="utf-8")
API_EN = (REPOSITORY / "docs" / "api.en.md").read_text(encoding="utf-8")


def test_the_code_tables_match_the_product() -> None:
    for path, (pattern, table) in code_tables.tables().items():
        text = path.read_text(encoding="utf-8")
        assert code_tables.with_table(text, pattern, table) == text, "run bin/manage code_tables"


def test_a_page_without_a_code_table_is_an_error() -> None:
    pattern, table = code_tables.tables()[REPOSITORY / "docs" / "api.md"]
    assert code_tables.with_table("a\n| 4001 | old\n| 4002 | old\nb\n", pattern, table) == f"a\n{table}b\n"
    with pytest.raises(ValueError, match="found 0"):
        code_tables.with_table("no table", pattern, table)


def outline(section: str) -> tuple[list[str], list[str], set[str], set[str]]:
    """Return what a translation keeps: shapes of tables, examples, names, numbers."""
    prose = re.sub(r"^\| \d{4} \|.*\n", "", section, flags=re.MULTILINE)
    rows = [str(line.count("|")) for line in prose.splitlines() if line.startswith("|")]
    examples = re.findall(r"^```json\n(.*?)^```", prose, re.MULTILINE | re.DOTALL)
    names = {name for name in re.findall(r"`([^`\n]+)`", prose) if name.isascii() and "image 1" not in name}
    return rows, examples, names, set(re.findall(r"\d+(?:\.\d+)?", prose))


def sections(page: str) -> list[tuple[str, str]]:
    """Return the depth of each heading, and the text under it."""
    return re.findall(r"^(#+)(.*?)(?=^#|\Z)", page, re.MULTILINE | re.DOTALL)


def test_both_language_versions_have_the_same_content() -> None:
    chinese, english = sections(API), sections(API_EN)
    assert [depth for depth, _text in chinese] == [depth for depth, _text in english]
    for (_depth, text), (_depth_en, text_en) in zip(chinese, english, strict=True):
        assert outline(text) == outline(text_en), text_en.partition("\n")[0]


def test_the_golden_vector_and_the_limits_are_documented() -> None:
    for text in (
        GOLDEN,
        SECRET,
        BODY,
        f"{MAX_IMAGES} 张",
        f"{MAX_PAIRS} 组",
        *(p.name for p in SAMPLES.iterdir()),
    ):
        assert text in API
    readme = (REPOSITORY / "client" / "README.md").read_text(encoding="utf-8")
    assert f"默认 {BATCH_IMAGES} 张且不超过 {BATCH_BYTES // 1024 // 1024} MiB" in readme


API_PAGE = (REPOSITORY / "templates" / "docs" / "api.html").read_text(encoding="utf-8")
SIGNING_PAGE = (REPOSITORY / "templates" / "docs" / "signing.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [API, API_EN, SIGNING_PAGE], ids=["zh", "en", "console"])
def test_every_detectable_signature_mistake_is_explained(page: str) -> None:
    common = signing.mistaken_texts("POST", "/v1/face_detect.json", "a=%20&b=+", "1", "ab" * 20)
    mistakes = [f"it would be right {mistake}" for mistake, _chinese, _text in common]
    to_sign = signing.canonical("POST", "/v1/x.json", "", "1", "ab")
    for key in ("0123456789abcdef", bytes.fromhex(SECRET).decode("latin-1")):
        given = hmac.new(key.encode("latin-1"), to_sign, hashlib.sha256).hexdigest()
        sent = ("POST", "/v1/x.json", "", "1", "ab")
        mistakes.append(signing.likely_mistake("0123456789abcdef", SECRET, given, *sent)[0])
    for mistake in mistakes:
        named = re.search(r"\b(for|with|without) [^;]+", mistake)
        assert named is not None, mistake
        assert named[0].partition("/")[0] in page  # except the path of this request


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    rooms = "accounts|billing|inference|faceapi|console|facecloud|client|bin|docs|deploy|bench"
    named = re.findall(rf"`((?:{rooms})/[\w./-]*)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


@pytest.mark.parametrize("page", [API, API_EN, API_PAGE], ids=["zh", "en", "console"])
def test_every_quality_reason_is_documented(page: str) -> None:
    assert [reason for reason in REASONS if reason not in page] == []


def test_the_client_has_a_text_for_every_reason() -> None:
    assert tuple(tables.REASONS) == REASONS
