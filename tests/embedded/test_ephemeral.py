"""The services of bin/test end with it, and its exit status is that of the command."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from embedded.ephemeral import PREFIX, sweep
from embedded.preflight import only_one
from tests.conftest import REPOSITORY, wait_until

SHOW = (
    "import os; print(os.environ['FACECLOUD_VAR_DIR'], os.environ['DATABASE_URL'], os.environ['REDIS_URL'])"
)


def throwaway(*command: str, **changes: str) -> "subprocess.Popen[str]":
    inherited = {
        name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")
    }
    return subprocess.Popen(
        [sys.executable, "-m", "embedded.ephemeral", *command],
        cwd=REPOSITORY,
        env={**inherited, **changes},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_concurrent_runs_are_isolated_and_leave_nothing() -> None:
    runs = [throwaway(sys.executable, "-c", SHOW) for _ in range(2)]
    shown = [run.communicate(timeout=60)[0].split() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert not set(shown[0]) & set(shown[1])
    for var, database, broker in shown:
        assert var in database
        assert var in broker
        assert not Path(var).exists()


def test_the_exit_status_is_that_of_the_command() -> None:
    with throwaway("sh", "-c", "exit 5") as run:
        run.communicate(timeout=60)
    assert run.returncode == 5


def test_services_of_the_environment_are_used() -> None:
    with throwaway(
        sys.executable, "-c", SHOW, DATABASE_URL="postgres://db.example/x", REDIS_URL="redis://v"
    ) as run:
        assert run.communicate(timeout=60)[0].split()[1:] == ["postgres://db.example/x", "redis://v"]


TERMINATED_AT_THE_FORK = """
import os, signal, subprocess, sys

class Terminated(subprocess.Popen):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGTERM)

subprocess.Popen = Terminated
from embedded import ephemeral
sys.exit(ephemeral.main(["sleep", "60"]))
"""


def test_a_signal_between_the_start_of_the_command_and_its_wait_ends_it() -> None:
    services = {"DATABASE_URL": "postgres://db.example/x", "REDIS_URL": "redis://v"}  # so none are started
    result = subprocess.run(
        [sys.executable, "-c", TERMINATED_AT_THE_FORK],
        cwd=REPOSITORY,
        env={**os.environ, **services},
        stdout=subprocess.PIPE,  # stays open as long as the command runs
        timeout=30,
        check=False,
    )
    assert result.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_terminated_or_killed_run_leaves_nothing(number: signal.Signals) -> None:
    with throwaway("sh", "-c", "echo $FACECLOUD_VAR_DIR; exec sleep 60") as run:
        assert run.stdout is not None
        var = Path(run.stdout.readline().strip())
        assert (var / "postgres").exists()
        sleeping = [int(pid) for pid in Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()]
        run.send_signal(number)
        run.wait(timeout=30)
        if number == signal.SIGKILL:  # after SIGKILL only the services end, so the test ends the command
            for pid in sleeping:
                with suppress(FileNotFoundError):  # a service that has ended
                    if Path(f"/proc/{pid}/cmdline").read_text().startswith(("sleep", "sh\0")):
                        os.kill(pid, signal.SIGKILL)
            wait_until(
                lambda: not any(Path(f"/proc/{pid}").exists() for pid in sleeping),
                timeout_s=10,
                what="the end",
            )
            assert var.exists()
            sweep(var.parent)
    assert not var.exists()


def test_cleaning_up_keeps_running_instances(tmp_path: Path) -> None:
    notes = {"killed": "process 1, bin/test", "taking-its-lock": "", "alive": ""}
    for name, note in notes.items():
        (tmp_path / f"{PREFIX}{name}").mkdir()
        (tmp_path / f"{PREFIX}{name}" / "lock").write_text(note)
    (tmp_path / f"{PREFIX}new").mkdir()
    (tmp_path / "another-programs").mkdir()
    with only_one(tmp_path / f"{PREFIX}alive" / "lock", "bin/test"):
        sweep(tmp_path)
    left = {entry.name.removeprefix(PREFIX) for entry in tmp_path.iterdir()}
    assert left == {"alive", "taking-its-lock", "new", "another-programs"}
