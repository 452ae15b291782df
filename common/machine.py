"""Resources available to this process: CPUs, memory and open files, within kernel and container limits."""

import math
import os
import resource
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")
MAX_OPEN_FILES = 65_536
BASE_BYTES = 500 * 1024 * 1024  # an idle worker with its models
# The most that a slot needs, with a chunk of the largest pictures (16-bit PNGs of 25 megapixels). Measured:
# 270 MB with one slot (`bin/bench memory`), and less for each further slot.
SLOT_BYTES = 260 * 1024 * 1024


def cpus(cgroup: Path = CGROUP, own: Path = OWN_CGROUP) -> int:
    """Return the number of usable CPUs: the CPU affinity, or the smallest quota of the cgroups."""
    quotas = [_cpu_quota(folder) for folder in _groups(cgroup, own, "cpu")]
    available = len(os.sched_getaffinity(0))
    return max(1, min([available, *(math.ceil(quota) for quota in quotas if quota is not None)]))


def _cpu_quota(folder: Path) -> float | None:
    """Return the CPUs that the cgroup's quota allows, or None if it has none."""
    quota = _read(folder, "cpu.max") or _read(folder, "cpu.cfs_quota_us")
    period = quota[1] if len(quota) > 1 else (_read(folder, "cpu.cfs_period_us") or ["100000"])[0]
    if not quota or not quota[0].isdigit() or not int(quota[0]):  # "max", or -1 in version 1
        return None
    return int(quota[0]) / int(period)


def memory_bytes(cgroup: Path = CGROUP, own: Path = OWN_CGROUP) -> int | None:
    """Return the smallest memory limit of the cgroups, or None if there is none."""
    limits = []
    for folder in _groups(cgroup, own, "memory"):
        found = _read(folder, "memory.max") or _read(folder, "memory.limit_in_bytes")
        if found and found[0].isdigit() and int(found[0]) < 1 << 60:  # v1: a huge number means no limit
            limits.append(int(found[0]))
    return min(limits, default=None)


def worker_slots(cgroup: Path = CGROUP, own: Path = OWN_CGROUP) -> int:
    """Return the default number of slots of a worker: CPUs plus one, or fewer if memory is short."""
    slots, limit = cpus(cgroup, own) + 1, memory_bytes(cgroup, own)
    return slots if limit is None else max(1, min(slots, (limit - BASE_BYTES) // SLOT_BYTES))


def raise_open_files() -> int:
    """Raise the soft limit of open files towards the hard limit, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def _groups(cgroup: Path, own: Path, controller: str) -> list[Path]:
    """Return the folders of the process's cgroup and of all cgroups above it, of both versions (cgroups(7)).

    In a container they are usually the root. A systemd unit has a cgroup below it, whose limits are not in
    the root; each cgroup above may have a smaller limit.
    """
    found = [cgroup, cgroup / controller]
    for line in _text(own).splitlines():
        _number, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        parts = path.strip("/").split("/")
        if ".." in parts:  # outside of this namespace, so not visible here
            continue
        folder = cgroup / controller if controllers else cgroup
        for part in parts:
            folder /= part
            found.append(folder)
    return found


def _read(folder: Path, name: str) -> list[str]:
    """Return the words in a file of a cgroup; none if it cannot be read."""
    return _text(folder / name).split()


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
