"""The log files of bin/start: rotated by size and by day while their processes run, compressed, and deleted.

A process keeps its log open, so a file is copied and then truncated, as with logrotate's `copytruncate`. All
processes write with O_APPEND, so the next line is the first of the truncated file. Lines written between the
last read and the truncation, usually microseconds, are lost.
"""

import gzip
import os
import shutil
import sys
import time
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from facecloud.env import Env

env = Env()
# For each process: the size at which its log is rotated (it is also rotated at midnight), and the number and
# maximum age in days of the rotated files.
LOG_FILE_MAX_BYTES = env.count("LOG_FILE_MAX_BYTES", default=50_000_000)
LOG_FILES_KEPT = env.count("LOG_FILES_KEPT", default=30)
LOG_FILE_DAYS = env.count("LOG_FILE_DAYS", default=30)
DAY_S = 24 * 3600
GZIP_LEVEL = 1  # the fastest; it still shrinks JSON lines to a tenth


@dataclass(frozen=True, slots=True)
class Limits:
    """The size at which a log is rotated, and the number and maximum age of rotated files."""

    max_bytes: int = LOG_FILE_MAX_BYTES
    kept: int = LOG_FILES_KEPT
    days: int = LOG_FILE_DAYS


class LogFiles:
    """The logs of one folder: NAME.log, and the rotated NAME.log.1.gz (the latest) to NAME.log.KEPT.gz."""

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self._folder = folder
        self._limits = limits or Limits()
        self._checked_on: date | None = None

    def rotate(self, now_s: float | None = None) -> None:
        """Rotate the logs that are due and delete old files. Skip a log that cannot be rotated."""
        now_s = time.time() if now_s is None else now_s
        today = _day(now_s)
        for log in sorted(self._folder.glob("*.log")):
            try:
                if self._is_due(log, today):
                    self._rotate(log)
                self._delete_old(log, now_s)
            except OSError as error:  # a full disk, or a file that was deleted meanwhile
                sys.stderr.write(f"{log} could not be rotated: {error}\n")
        self._checked_on = today

    def _is_due(self, log: Path, today: date) -> bool:
        """Return whether the log is too large or has lines of an earlier day."""
        found = log.stat()
        if found.st_size == 0:
            return False
        last_day = self._checked_on or _day(found.st_mtime)
        return found.st_size > self._limits.max_bytes or last_day < today

    def _rotate(self, log: Path) -> None:
        copy = log.with_name(f"{log.name}.new")
        written_s = log.stat().st_mtime
        try:
            with (
                log.open("r+b") as source,
                open(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as target,
                gzip.GzipFile(log.name, "wb", GZIP_LEVEL, target) as compressed,
            ):
                shutil.copyfileobj(source, compressed)
                self._shift(log)
                copy.rename(_rotated(log, 1))
                # Copy the lines written meanwhile. If this process is killed before it truncates the log, the
                # lines are kept twice.
                shutil.copyfileobj(source, compressed)
                compressed.flush()
                shutil.copyfileobj(source, compressed)
                source.truncate(0)
            os.utime(_rotated(log, 1), (written_s, written_s))  # so that it expires by the age of its lines
        except OSError:
            if copy.is_file():
                copy.unlink()
            raise

    def _shift(self, log: Path) -> None:
        _rotated(log, self._limits.kept).unlink(missing_ok=True)
        for number in range(self._limits.kept - 1, 0, -1):
            if (older := _rotated(log, number)).exists():
                older.rename(_rotated(log, number + 1))

    def _delete_old(self, log: Path, now_s: float) -> None:
        for old in log.parent.glob(f"{log.name}.[0-9]*"):
            number = old.name.removeprefix(f"{log.name}.").removesuffix(".gz")
            too_many = number.isdigit() and int(number) > self._limits.kept
            if too_many or old.stat().st_mtime < now_s - self._limits.days * DAY_S:
                old.unlink(missing_ok=True)


def _rotated(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}.gz")


def _day(moment_s: float) -> date:
    """Return the day in the machine's time zone."""
    return datetime.fromtimestamp(moment_s).astimezone().date()
