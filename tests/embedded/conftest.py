"""Folders with short paths, which sockets need: pytest's own are long."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.paths import Places


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="facecloud-") as name:
        yield Path(name)


@pytest.fixture
def places(folder: Path) -> Places:
    """The folders of one instance."""
    places = Places(folder)
    places.make()
    return places
