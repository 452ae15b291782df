"""The calibration set: complete, versioned, and rejected if it was altered."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.calibration import scoring, tables
from inference.calibration.cohort import cohort
from inference.errors import ModelError


@pytest.fixture
def copied(tmp_path: Path) -> Iterator[Path]:
    """Yield a copy of the bundled set, to alter and select; restore the selection afterwards."""
    yield Path(shutil.copytree(tables.DIRECTORY, tmp_path / "set"))
    tables.use(tables.DIRECTORY)


def test_the_bundled_set_matches_its_manifest() -> None:
    manifest = tables.verify(tables.DIRECTORY)
    assert manifest["version"] == tables.version()
    assert scoring.table_version() == tables.load("confidence")["version"]
    assert {path.name for path in tables.DIRECTORY.glob("*.json")} == {*manifest["files"], tables.MANIFEST}


@pytest.mark.parametrize("name", tables.TABLES)
def test_an_altered_file_is_rejected(copied: Path, name: str) -> None:
    file = copied / f"{name}.json"
    text = file.read_text()
    digit = next(index for index in range(len(text) // 2, len(text)) if text[index].isdigit())
    file.write_text(text[:digit] + str((int(text[digit]) + 1) % 10) + text[digit + 1 :])
    with pytest.raises(ModelError, match=rf"{name}.json is missing or altered"):
        tables.use(copied)
    file.unlink()
    with pytest.raises(ModelError, match=rf"{name}.json is missing or altered"):
        tables.use(copied)
    assert tables.directory() == tables.DIRECTORY


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format": 1}, "has format 1"),
        ({"models": {"sface.onnx": "0" * 64}}, "fitted with other models"),
        ({"files": {}}, "missing or altered"),
    ],
)
def test_a_set_that_belongs_to_something_else_is_rejected(
    copied: Path, change: dict[str, object], sentence: str
) -> None:
    manifest = json.loads((copied / tables.MANIFEST).read_text())
    (copied / tables.MANIFEST).write_text(json.dumps(manifest | change))
    with pytest.raises(ModelError, match=sentence):
        tables.use(copied)
    (copied / tables.MANIFEST).write_text("{")
    with pytest.raises(ModelError, match="not JSON"):
        tables.use(copied)


def test_another_set_is_used_as_soon_as_it_is_selected(copied: Path) -> None:
    before = scoring.confidence_map()(2.0)
    table = json.loads((copied / "confidence.json").read_text())
    table["points"] = [[row[0] + 1, *row[1:]] for row in table["points"]]
    table["version"] = "ours-2"
    (copied / "confidence.json").write_text(json.dumps(table))
    tables.seal(copied, "ours-2")
    tables.use(copied)
    assert scoring.confidence_map()(3.0) == pytest.approx(before)
    assert (tables.version(), scoring.table_version()) == ("ours-2", "ours-2")


def test_the_cohort_holds_averages_of_two_dozen_faces_and_more() -> None:
    table = tables.load("cohort")
    assert len(table["faces"]) == len(cohort().centroids) == len(cohort().offsets)
    assert min(table["faces"]) >= 24
