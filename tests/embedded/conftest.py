"""Folders with short paths, which sockets need: pytest's own are long."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.paths import Paths


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="facecloud-") as name:
        yield Path(name)


@pytest.fixture
def paths(folder: Path) -> Paths:
    """Return the folders of one instance."""
    paths = Paths(folder)
    paths.make()
    return paths
