"""Logs are rotated while their processes run, by size and at midnight; old files are deleted."""

import gzip
import os
import re
import sys
import time
from pathlib import Path

import pytest

from embedded.log_files import DAY_S, Limits, LogFiles
from embedded.services.managed_process import Process
from embedded.supervisor import Supervisor
from tests.conftest import wait_until

NOON_S = time.mktime((2027, 3, 10, 12, 0, 0, 0, 0, -1))
WRITER = """
import time
for number in range(20_000):
    print(f"line {number:06}", flush=True)
    if number % 100 == 0:
        time.sleep(0.005)
print("done", flush=True)
"""


def rotated(log: Path, number: int) -> str:
    with gzip.open(f"{log}.{number}.gz", "rt") as file:
        return file.read()


def write(log: Path, text: str, at_s: float = NOON_S) -> None:
    """Append, as a process does."""
    with log.open("a") as file:
        file.write(text)
    os.utime(log, (at_s, at_s))


def test_a_large_log_is_rotated(folder: Path) -> None:
    log = folder / "web.log"
    files = LogFiles(folder, Limits(max_bytes=10, kept=2, days=30))
    for text in ("0123456789", "the first run\n", "the second run\n", "the third run\n", "short\n"):
        write(log, text)
        files.rotate(NOON_S)
    assert log.read_text() == "short\n"
    assert (rotated(log, 1), rotated(log, 2)) == ("the third run\n", "the second run\n")
    assert sorted(path.name for path in folder.iterdir()) == ["web.log", "web.log.1.gz", "web.log.2.gz"]
    assert (folder / "web.log.1.gz").stat().st_mode & 0o777 == 0o600


def test_each_day_begins_with_an_empty_log(folder: Path) -> None:
    log = folder / "web.log"
    write(log, "yesterday\n", NOON_S - DAY_S)
    files = LogFiles(folder, Limits(max_bytes=1000, kept=5, days=30))
    files.rotate(NOON_S)
    assert log.read_text() == ""
    write(log, "today\n")
    files.rotate(NOON_S)
    assert log.read_text() == "today\n"
    write(log, "a line just after midnight, before the look\n", NOON_S + DAY_S)
    files.rotate(NOON_S + DAY_S)
    assert log.read_text() == ""
    assert rotated(log, 2) == "yesterday\n"
    files.rotate(NOON_S + 2 * DAY_S)
    assert not (folder / "web.log.3.gz").exists()  # an empty file is left alone


def test_old_files_are_deleted(folder: Path) -> None:
    (folder / "web.log").touch()
    for name, days in (("web.log.1.gz", 29), ("web.log.2.gz", 31), ("web.log.7.gz", 1), ("web.log.1", 31)):
        (folder / name).touch()
        os.utime(folder / name, (NOON_S - days * DAY_S,) * 2)
    LogFiles(folder, Limits(max_bytes=1000, kept=5, days=30)).rotate(NOON_S)
    assert sorted(path.name for path in folder.iterdir()) == ["web.log", "web.log.1.gz"]


def test_a_running_process_continues_in_the_truncated_file(folder: Path) -> None:
    """Under the supervisor, which rotates again and again while it writes: whole lines, in order."""
    process = Process("writer", [sys.executable, "-c", WRITER], log=folder / "writer.log", cwd=folder)
    files = LogFiles(folder, Limits(max_bytes=20_000, kept=100, days=30))
    supervisor = Supervisor(lambda line: None, tidy=files.rotate)
    supervisor.start(process)
    wait_until(lambda: files.rotate() or not process.is_running(), timeout_s=60, what="its end")
    supervisor.stop()
    count = len(list(folder.glob("writer.log.*.gz")))
    assert count > 3
    parts = [rotated(process.log, number) for number in range(count, 0, -1)] + [process.log.read_text()]
    text = "".join(parts)
    assert text.endswith("done\n")
    numbers = [int(number) for number in re.findall(r"^line (\d{6})$", text, re.MULTILINE)]
    assert numbers == sorted(set(numbers))
    assert len(numbers) > 15_000  # what is written between the last read and the truncation is lost


def test_the_supervisor_rotates(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedded.supervisor.TIDY_EVERY_S", 0.0)

    def tidy() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Supervisor(lambda line: None, tidy=tidy).watch()


def test_a_log_that_cannot_be_rotated_is_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = folder / "web.log"
    write(log, "a long line\n")
    (folder / "web.log.new").mkdir()
    LogFiles(folder, Limits(max_bytes=1, kept=2, days=400)).rotate(NOON_S)
    assert log.read_text() == "a long line\n"
    assert "could not be rotated" in capsys.readouterr().err
