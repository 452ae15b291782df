"""Fixtures of the client's tests."""

from pathlib import Path

import pytest

from tests.client.samples import COMMANDS, Run, Start, runner, starter


@pytest.fixture(autouse=True)
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the client's language to Chinese, regardless of the machine's locale."""
    monkeypatch.setenv("FACECLOUD_LANG", "zh")


@pytest.fixture(params=COMMANDS)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Return a runner for each sample in turn."""
    return runner(request.param, tmp_path)


@pytest.fixture(params=COMMANDS)
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Start:
    """Return a runner for each sample in turn that accepts any exit status."""
    return starter(request.param, tmp_path)
