"""The client speaks Chinese in these tests, whatever the machine's locale."""

import pytest


@pytest.fixture(autouse=True)
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACECLOUD_LANG", "zh")
