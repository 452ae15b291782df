"""A short run of `bin/bench chaos`: exactly the answered calls were charged."""

import json
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

FAULTS = [
    "web: kill -9 of a child",
    "PostgreSQL: dies between commit and reply",
    "PostgreSQL: connections cut at COMMIT",
    "disk full, and kill -9 of a web child",
    "Valkey: kill -9",
]


@pytest.mark.chaos
@pytest.mark.timeout(600)  # on a busy machine
@pytest.mark.usefixtures("models")
def test_the_clients_count_equals_the_ledger() -> None:
    command = [sys.executable, "-m", "bench", "chaos", "--rounds", str(len(FAULTS)), "--each"]
    command += ["--clients", "4", "--sweep-now", "--json"]
    command += [part for fault in FAULTS for part in ("--only", fault)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stdout + done.stderr
    (section,) = json.loads(done.stdout).values()
    assert section["calls charged and not answered"] == 0
    assert section["units charged"] > 0
    assert section["reconcile"] == "no break"
