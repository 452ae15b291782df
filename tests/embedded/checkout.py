"""A fresh clone of this repository, whose commands run as for a new user."""

import json
import os
import pwd
import re
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedded.environment import read_env
from embedded.ephemeral import PREFIX
from embedded.paths import memory_folder
from embedded.preflight import only_one
from tests.conftest import REPOSITORY, wait_until

OF_THIS_RUN = re.compile(
    r"DATABASE_URL|REDIS_URL|ENCRYPTION_KEY|MODELS_DIR|(DJANGO|FACECLOUD|COLUMNS|PYTEST)_?\w*"
)
DONE = "Ctrl-C 停止"
COMMAND_TIMEOUT_S = 240


@dataclass(frozen=True)
class Checkout:
    """A fresh clone. `user` runs the commands; None means the current user."""

    folder: Path
    home: Path
    user: str | None = None

    @property
    def var(self) -> Path:
        return self.folder / "var"

    def environment(self, **changes: str) -> dict[str, str]:
        """Return the environment of a new user, without the variables of this test run."""
        kept = {name: value for name, value in os.environ.items() if not OF_THIS_RUN.fullmatch(name)}
        if self.user:
            kept["PATH"] = "/usr/local/bin:/usr/bin:/bin"  # the current PATH may have private folders
        return {**kept, "HOME": str(self.home), **changes}

    def popen(self, *command: str, **changes: str) -> "subprocess.Popen[str]":
        account = pwd.getpwnam(self.user) if self.user else None
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment(**changes),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )

    def run(self, *command: str, **changes: str) -> tuple[int, str]:
        """Return the exit status and the output."""
        with self.popen(*command, **changes) as process:
            output, _ = process.communicate(timeout=COMMAND_TIMEOUT_S)
        return process.returncode, output

    def processes(self, command: str = "") -> list[int]:
        """Return the ids of this checkout's processes that run `command`, by command line or directory."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    words = (entry / "cmdline").read_text().split("\0")
                    traces = [os.readlink(entry / "cwd"), *words]
                except (OSError, UnicodeDecodeError):  # ended meanwhile
                    continue
                ours = any(trace.startswith(str(self.folder)) for trace in traces)
                if ours and command in " ".join(words):
                    found.append(int(entry.name))
        return found

    def kill(self, command: str = "") -> list[int]:
        """Send SIGKILL to all processes and return them. Some end together with another one."""
        pids = self.processes(command)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pids


@dataclass
class Running:
    """A running bin/start."""

    checkout: Checkout
    process: "subprocess.Popen[str]"
    output: str

    @property
    def demo(self) -> dict[str, str]:
        return read_env(self.checkout.var / "demo.env")

    @property
    def first_answer(self) -> dict[str, Any]:
        text = self.output[self.output.index("{") : self.output.rindex("}") + 1]
        answer: dict[str, Any] = json.loads(text)
        return answer

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(self.demo["FACECLOUD_URL"] + "/readyz", timeout=5) as reply:
                return bool(reply.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def interrupt(self) -> int:
        """Send SIGINT and return the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=60)


@contextmanager
def fresh_clone(user: str | None = None) -> Iterator[Checkout]:
    """Yield a checkout with an empty home directory, in a folder that `user` owns."""
    folder = tempfile.TemporaryDirectory(prefix=PREFIX, dir=memory_folder(), ignore_cleanup_errors=True)
    with folder as name, only_one(Path(name) / "lock", "a clone for a test"):
        root = Path(name)
        checkout = Checkout(root / "clone", root / "home", user)
        subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(checkout.folder)], check=True)
        checkout.home.mkdir()
        if user:
            subprocess.run(["chown", "-R", user, name], check=True)
        try:
            yield checkout
        finally:
            checkout.kill()


@contextmanager
def running(checkout: Checkout, *arguments: str, **changes: str) -> Iterator[Running]:
    """Run bin/start during the block."""
    process = checkout.popen("bin/start", *arguments, **changes)
    output = ""
    try:
        assert process.stdout is not None
        for line in process.stdout:
            output += line
            if DONE in line:
                break
        else:
            raise AssertionError(f"bin/start ended with {process.wait()}:\n{output}")
        yield Running(checkout, process, output)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        wait_until(lambda: not checkout.processes(), timeout_s=20, what="the end of all its processes")
