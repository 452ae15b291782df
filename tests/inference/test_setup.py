"""Model files come checked, and a wrong one stops with a sentence."""

from dataclasses import replace
from pathlib import Path

import pytest

from inference import registry, setup
from inference.engine import Engine
from inference.errors import ModelError
from inference.registry import ASTRONAUT, FILES


def test_every_file_is_there_and_a_second_run_does_nothing(models: Path) -> None:
    assert setup.missing_files(models) == []
    before = {file.file: (models / file.file).stat().st_mtime_ns for file in FILES}
    assert setup.ensure_models(models) == []
    assert {file.file: (models / file.file).stat().st_mtime_ns for file in FILES} == before


def test_a_damaged_file_is_noticed(models: Path, tmp_path: Path) -> None:
    for file in FILES:
        (tmp_path / file.file).symlink_to(models / file.file)
    damaged = tmp_path / registry.YUNET.file
    damaged.unlink()
    damaged.write_bytes((models / damaged.name).read_bytes()[:-1] + b"\x00")
    assert setup.missing_files(tmp_path) == [registry.YUNET]
    with pytest.raises(ModelError, match=r"yunet.onnx is missing or altered"):
        Engine(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (replace(ASTRONAUT, package=replace(ASTRONAUT.package, sha256="0" * 64)), "scikit-image"),
        (replace(ASTRONAUT, member_sha256="0" * 64), "skimage/data/astronaut.png"),
        (replace(ASTRONAUT, sha256="0" * 64), "astronaut.png was converted"),
    ],
    ids=["package", "file", "result"],
)
def test_a_wrong_hash_stops_with_one_sentence_and_leaves_nothing(
    tmp_path: Path, wrong: registry.ModelFile, sentence: str
) -> None:
    with pytest.raises(ModelError) as caught:
        setup.ensure_models(tmp_path, [wrong])
    assert sentence in caught.value.detail
    assert caught.value.detail.endswith("(wrong hash).")
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):  # a port that nothing listens on
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    with pytest.raises(ModelError, match="cannot be reached"):
        setup.ensure_models(tmp_path, [ASTRONAUT])


def test_the_command_says_so_and_returns_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert setup.main(["--models", str(blocked / "models")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_every_file_names_a_licence_that_allows_commercial_use() -> None:
    allowed = ("MIT", "Apache-2.0", "CC0-1.0", "public domain")
    assert all(file.licence.startswith(allowed) for file in FILES)
    assert len({file.file for file in FILES}) == len(FILES)
