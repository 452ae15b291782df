"""Files that must and must not be in the repository."""

import os
import re
import subprocess
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.repository.folders import MAX_FILES, crowded

REGISTRIES = re.compile(
    "|".join((r"pypi\.(org)", r"python(hosted)", r"registry\.(npmjs)", r"deb\.(debian)\.org"))
)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
MAX_BYTES = 1_500_000


def tracked(*patterns: str) -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    names = [name for name in listing.stdout.split("\0") if name]
    return [REPOSITORY / name for name in names if (REPOSITORY / name).is_file()]


def test_no_file_carries_the_address_of_a_package_registry() -> None:
    """Packages are installed from the index that the user has configured."""
    files = tracked()
    assert len(files) > 100
    assert [str(file) for file in files if REGISTRIES.search(file.read_text(errors="ignore"))] == []


def test_every_script_is_executable_and_valid() -> None:
    commands = tracked("bin", ".ci")
    assert len(commands) >= 8
    for command in commands:
        assert os.access(command, os.X_OK), command
        shell = command.read_text().partition("\n")[0].removeprefix("#!").split()
        if shell[-1] in ("sh", "bash", "/bin/sh"):
            subprocess.run([*shell, "-n", str(command)], check=True)


def test_links_between_documents_resolve() -> None:
    broken = [
        f"{document.relative_to(REPOSITORY)} → {target}"
        for document in tracked("*.md")
        for target in LINK.findall(document.read_text())
        if not (document.parent / target).exists()
    ]
    assert broken == []


def test_no_large_file_is_committed() -> None:
    """Models and photographs come from packages, at the first start."""
    assert [
        str(file) for file in tracked() if file.stat().st_size > MAX_BYTES or file.suffix == ".onnx"
    ] == []


def test_no_folder_has_more_than_a_dozen_files_of_one_kind() -> None:
    """A folder that grows past a dozen is split by sub-domain; bin/check holds the same rule."""
    files = [str(file.relative_to(REPOSITORY)) for file in tracked("*.py", "*.html", "*.md")]
    assert len(files) > 100
    assert crowded(files) == {}


def test_a_crowded_folder_is_found() -> None:
    full = [f"room/{number}.{suffix}" for suffix in ("py", "html", "md") for number in range(MAX_FILES)]
    framework = ["room/__init__.py", "room/apps.py", "room/migrations/0001_initial.py", "room/part/module.py"]
    assert crowded([*full, *framework]) == {}
    assert crowded([*full, *framework, "room/one_more.py"]) == {("room", "modules"): MAX_FILES + 1}
    assert crowded([*full, *framework, "room/one_more.html"]) == {("room", "templates"): MAX_FILES + 1}
    assert crowded([*full, *framework, "room/one_more.md"]) == {("room", "documents"): MAX_FILES + 1}
