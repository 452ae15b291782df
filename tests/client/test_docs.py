"""The written documentation against the code: codes, limits, the golden vector, the files that it names."""

import re
from pathlib import Path

import pytest
from facecloud_client.batches import BATCH_BYTES, BATCH_IMAGES, MAX_IMAGES, MAX_PAIRS
from facecloud_client.codes import ENGLISH

from faceapi.errors import TABLE
from tests.client.test_samples import BODY, GOLDEN, SAMPLES, SECRET

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "client" / "README.md"]
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


def test_the_table_of_codes_is_the_product_s() -> None:
    written = re.findall(r"^\| (\d{4}) \| (\d{3}|–) \| (.+?) \| (.+) \|$", API, re.MULTILINE)
    expected = [
        (str(row.number), "–", row.zh, "为视频结果保留,不会返回")
        if row.reserved
        else (str(row.number), str(row.http), row.zh, row.remedy_zh)
        for row in TABLE.values()
    ]
    assert written == expected


def test_the_client_s_english_is_the_product_s() -> None:
    assert {row.number: row.en for row in TABLE.values() if not row.reserved} == ENGLISH


def test_the_golden_vector_and_the_limits_are_written() -> None:
    for text in (
        GOLDEN,
        SECRET,
        BODY,
        f"{MAX_IMAGES} 张",
        f"{MAX_PAIRS} 组",
        *(p.name for p in SAMPLES.iterdir()),
    ):
        assert text in API
    readme = (ROOT / "client" / "README.md").read_text(encoding="utf-8")
    assert f"默认 {BATCH_IMAGES} 张且不超过 {BATCH_BYTES // 1024 // 1024} MiB" in readme


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    rooms = "accounts|billing|inference|faceapi|console|facecloud|client|bin|docs|deploy|bench"
    named = re.findall(rf"`((?:{rooms})/[\w./-]*)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []
