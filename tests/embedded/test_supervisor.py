"""Processes that end are restarted with back-off, and are stopped in reverse order."""

import os
import signal
import time
from pathlib import Path

import pytest

from embedded.services.managed_process import Process
from embedded.supervisor import FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_AFTER_S, Supervisor
from tests.conftest import wait_until


def process(folder: Path, name: str, *command: str) -> Process:
    return Process(name, command, log=folder / f"{name}.log", cwd=folder)


def test_a_killed_process_is_started_again(folder: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(said.append)
    sleeper = process(folder, "sleeper", "sleep", "60")
    supervisor.start(sleeper)
    first = sleeper.pid
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not sleeper.is_running(), timeout_s=20, what="its end")
    supervisor.look(now_s=0)
    supervisor.look(now_s=FIRST_PAUSE_S / 2)
    assert not sleeper.is_running()
    supervisor.look(now_s=FIRST_PAUSE_S)
    assert sleeper.is_running()
    assert sleeper.pid != first
    assert said == [f"sleeper ended (-9), details: {sleeper.log}", "sleeper runs again"]
    supervisor.stop()
    assert not sleeper.is_running()


def test_a_process_that_keeps_ending_is_restarted_with_back_off(folder: Path) -> None:
    supervisor = Supervisor(lambda line: None)
    failing = process(folder, "failing", "false")
    supervisor.start(failing)
    pauses, now_s = [], 0.0
    for _ in range(8):
        wait_until(lambda: not failing.is_running(), timeout_s=20, what="its end")
        supervisor.look(now_s)
        ended_at_s, pid = now_s, failing.pid
        while failing.pid == pid:
            now_s += FIRST_PAUSE_S / 4
            supervisor.look(now_s)
        pauses.append(round(now_s - ended_at_s, 3))
    assert pauses[0] == pytest.approx(FIRST_PAUSE_S, abs=FIRST_PAUSE_S / 3)
    assert pauses == sorted(pauses)
    assert pauses[-1] == pytest.approx(LONGEST_PAUSE_S, abs=FIRST_PAUSE_S)
    supervisor.stop()


def test_a_process_that_ran_steadily_is_restarted_at_once(folder: Path) -> None:
    supervisor = Supervisor(lambda line: None)
    sleeper = process(folder, "sleeper", "sleep", "60")
    supervisor.start(sleeper)
    now_s = time.monotonic()
    for _ in range(6):
        now_s += STEADY_AFTER_S + 1
        os.kill(sleeper.pid, signal.SIGKILL)
        wait_until(lambda: not sleeper.is_running(), timeout_s=20, what="its end")
        supervisor.look(now_s)
        supervisor.look(now_s + FIRST_PAUSE_S)
        assert sleeper.is_running()
    supervisor.stop()


def test_the_process_started_last_is_stopped_first(folder: Path) -> None:
    stopped: list[str] = []

    class Recorded(Process):
        def stop(self, timeout_s: float = 15) -> None:
            stopped.append(self.name)
            super().stop(timeout_s)

    supervisor = Supervisor(lambda line: None)
    for name in ("database", "web"):
        supervisor.start(Recorded(name, ["sleep", "60"], log=folder / "log", cwd=folder))
    supervisor.stop()
    assert stopped == ["web", "database"]
