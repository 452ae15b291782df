"""Folders with short paths, which sockets need: pytest's own are long."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="facecloud-") as name:
        yield Path(name)
