"""Resources available to this process: CPUs, memory and open files, within kernel and container limits."""

import math
import os
import resource
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
MAX_OPEN_FILES = 65_536
BASE_BYTES = 500 * 1024 * 1024  # an idle worker with its models
# The most that a slot needs, with a chunk of the largest pictures (16-bit PNGs of 25 megapixels). Measured:
# 270 MB with one slot (`bin/bench memory`), and less for each further slot.
SLOT_BYTES = 260 * 1024 * 1024


def cpus(cgroup: Path = CGROUP) -> int:
    """Return the number of usable CPUs: the CPU affinity, or the cgroup's quota if that is smaller."""
    available = len(os.sched_getaffinity(0))
    quota = _read(cgroup, "cpu.max") or _read(cgroup, "cpu/cpu.cfs_quota_us")
    period = quota[1] if len(quota) > 1 else (_read(cgroup, "cpu/cpu.cfs_period_us") or ["100000"])[0]
    if not quota or not quota[0].isdigit() or not int(quota[0]):  # "max", or -1 in version 1
        return available
    return max(1, min(available, math.ceil(int(quota[0]) / int(period))))


def memory_bytes(cgroup: Path = CGROUP) -> int | None:
    """Return the cgroup's memory limit, or None if there is none."""
    found = _read(cgroup, "memory.max") or _read(cgroup, "memory/memory.limit_in_bytes")
    if not found or not found[0].isdigit() or int(found[0]) >= 1 << 60:  # v1: a huge number means no limit
        return None
    return int(found[0])


def worker_slots(cgroup: Path = CGROUP) -> int:
    """Return the default number of slots of a worker: CPUs plus one, or fewer if memory is short."""
    slots, limit = cpus(cgroup) + 1, memory_bytes(cgroup)
    return slots if limit is None else max(1, min(slots, (limit - BASE_BYTES) // SLOT_BYTES))


def raise_open_files() -> int:
    """Raise the soft limit of open files towards the hard limit, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def _read(cgroup: Path, name: str) -> list[str]:
    """Return the words in a file of the cgroup; none if it does not exist."""
    try:
        return (cgroup / name).read_text().split()
    except OSError:
        return []
