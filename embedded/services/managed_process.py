"""A child process that ends with its parent, logs to a file and can be stopped reliably."""

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

LAUNCH = Path(__file__).with_name("launch.py")


class ServiceError(Exception):
    """A service did not start. The message is one sentence for the user."""


class Process:
    """A command with its log file. `start` may be called again once it has ended."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        as_root: bool = True,
    ) -> None:
        self.name = name
        self.log = log
        self._command = [str(part) for part in command]
        self._cwd = cwd
        self._env = dict(env) if env is not None else None
        self._stop_signal = stop_signal
        self._as_root = as_root
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._child is None:
            raise ServiceError(f"{self.name} was never started.")
        return self._child.pid

    def start(self) -> None:
        """Start the command. The calling thread must outlive it: the child is killed with that thread."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        launcher = [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), str(int(self._stop_signal))]
        with open(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
            self._child = subprocess.Popen(
                [*launcher, "ROOT" if self._as_root else "NOROOT", *self._command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._cwd,
                env=self._env,
            )

    def exit_status(self) -> int | None:
        """Return None while it runs, its exit status, or minus the number of the signal that ended it."""
        return None if self._child is None else self._child.poll()

    def is_running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def check_still_starting(self, deadline: float) -> None:
        """Raise ServiceError if it has ended or the deadline has passed."""
        if not self.is_running():
            raise ServiceError(f"{self.name} did not start ({self.log}): {self.last_lines(2)}")
        if time.monotonic() > deadline:
            raise ServiceError(f"{self.name} did not respond in time ({self.log}).")

    def finish(self, timeout_s: float) -> None:
        """Wait until it ends. Raises ServiceError with its last line if it fails or is too slow."""
        deadline = time.monotonic() + timeout_s
        while self.is_running():
            if time.monotonic() > deadline:
                raise ServiceError(f"{self.name} did not end within {timeout_s:.0f} s ({self.log}).")
            time.sleep(0.02)
        if self.exit_status() != 0:
            raise ServiceError(f"{self.last_lines(1)} ({self.name} failed, see {self.log})")

    def stop(self, timeout_s: float = 15) -> None:
        """Send its stop signal, then SIGKILL after the timeout, to its whole session. Safe to call twice."""
        if self._child is None:
            return
        if self._child.poll() is None:
            self._child.send_signal(self._stop_signal)
            try:
                self._child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)  # it leads its own session: this ends its children too

    def last_lines(self, lines: int = 5) -> str:
        """Return the last lines of its log, for an error message."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 4096))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


def package_folder(name: str) -> Path:
    """Return the folder of a package of binaries without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ServiceError(f"The package {name} is not installed; run bin/install.")
    return Path(spec.origin).parent


def end_processes_in(folder: Path) -> None:
    """End the processes that a crash left in `folder`. Raises ServiceError if one survives."""
    for signal_, patience_s in ((signal.SIGINT, 10), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
        pids = processes_in(folder)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal_)
        deadline = time.monotonic() + patience_s
        while pids and time.monotonic() < deadline:
            time.sleep(0.05)
            pids = [pid for pid in pids if Path(f"/proc/{pid}/cwd").exists()]
        if not pids:
            return
    raise ServiceError(f"Processes of an earlier run still use {folder} and cannot be stopped: {pids}.")


def processes_in(folder: Path) -> list[int]:
    """Return the ids of the processes whose working directory is `folder`; each service has its own."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # ended meanwhile, or another user's
                if os.readlink(entry / "cwd") == str(folder):
                    found.append(int(entry.name))
    return found
