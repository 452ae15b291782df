"""The spool of a request in memory and on disk, and the error if neither has space."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pytest_django import Settings

from faceapi import errors
from faceapi.errors import ApiError
from faceapi.request.spool import SMALL_BYTES, Budget, Spool, SpoolSlice

PIECE = bytes(range(256)) * 1024  # the size that a spool reserves at first


def content(spool: Spool) -> bytes:
    with spool.view(SpoolSlice(0, spool.size)) as view:
        return bytes(view)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Make writes of this process fail as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_spool_over_the_memory_budget_moves_to_an_unnamed_file(settings: Settings, tmp_path: Path) -> None:
    settings.SPOOL_DIR = tmp_path
    budget = Budget(memory_bytes=len(PIECE), total_bytes=10 * len(PIECE))
    with Spool(budget) as spool:
        spool.write(PIECE)
        assert (spool.is_in_memory, budget.memory) == (True, len(PIECE))
        spool.write(PIECE)
        assert (spool.is_in_memory, budget.memory) == (False, 0)
        assert content(spool) == PIECE * 2
        assert list(tmp_path.iterdir()) == []
    assert (budget.memory, budget.total) == (0, 0)


def test_a_spool_that_outgrows_the_memory_of_the_process_keeps_its_content() -> None:
    budget = Budget(memory_bytes=4 * SMALL_BYTES, total_bytes=4 * SMALL_BYTES)
    with Spool(budget) as spool:
        written = b""
        while len(written) <= SMALL_BYTES:
            spool.write(PIECE)
            written += PIECE
            assert content(spool) == written
        with spool.view(SpoolSlice(len(PIECE) + 1, 5)) as view:
            assert bytes(view) == PIECE[1:6]
            assert view.readonly
    assert (budget.memory, budget.total) == (0, 0)


def test_5003_if_all_spools_together_are_too_large() -> None:
    budget = Budget(memory_bytes=10 * len(PIECE), total_bytes=len(PIECE))
    with Spool(budget) as first, Spool(budget) as second:
        first.write(PIECE)
        with pytest.raises(ApiError) as caught:
            second.write(PIECE)
        assert content(first) == PIECE
    assert caught.value.code == errors.OVERLOADED
    assert (budget.memory, budget.total) == (0, 0)


def test_5003_if_the_disk_is_unusable_and_the_budget_is_unchanged(settings: Settings, tmp_path: Path) -> None:
    settings.SPOOL_DIR = tmp_path / "missing"
    budget = Budget(memory_bytes=len(PIECE), total_bytes=10 * len(PIECE))
    with Spool(budget) as spool:
        spool.write(PIECE)
        with pytest.raises(ApiError) as caught:
            spool.write(PIECE)
        assert content(spool) == PIECE
    assert (caught.value.code, caught.value.retry_after_s) == (errors.OVERLOADED, 5)
    assert (budget.memory, budget.total) == (0, 0)


@pytest.mark.parametrize("before", [b"", PIECE], ids=["first", "later"])
def test_5003_if_the_disk_becomes_full(before: bytes) -> None:
    budget = Budget(memory_bytes=10 * SMALL_BYTES, total_bytes=10 * SMALL_BYTES)
    with Spool(budget) as spool, files_of_at_most(4096):
        spool.write(before)  # stays in the memory of the process
        with pytest.raises(ApiError) as caught:
            spool.write(bytes(SMALL_BYTES + 1))
        assert content(spool) == before
    assert caught.value.code == errors.OVERLOADED
    assert (budget.memory, budget.total) == (0, 0)
