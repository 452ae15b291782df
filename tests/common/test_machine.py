"""The limits of a container or a systemd unit, of both versions of cgroups, and of open files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common import machine
from tests.conftest import REPOSITORY

CPUS = len(os.sched_getaffinity(0))
GIB = 1024**3


def group(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({}, CPUS),
        ({"cpu.max": "max 100000"}, CPUS),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "150000 100000"}, min(CPUS, 2)),
        ({"cpu.max": "9900000 100000"}, CPUS),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, CPUS),
        ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
    ],
)
def test_the_cpus_of_a_container_are_those_of_its_quota(
    tmp_path: Path, files: dict[str, str], cpus: int
) -> None:
    assert machine.cpus(group(tmp_path, files)) == cpus


@pytest.mark.parametrize(
    ("files", "slots"),
    [
        ({}, CPUS + 1),
        ({"memory.max": "max"}, CPUS + 1),
        ({"memory.max": str(64 * GIB)}, CPUS + 1),
        ({"memory.max": str(GIB // 2)}, 1),
        ({"memory.max": str(machine.BASE_BYTES + 2 * machine.SLOT_BYTES)}, 2),
        # Not two slots: measured were 283 MB once warm and 270 MB a slot, and a margin is needed.
        ({"memory.max": "1000000000"}, 1),
        ({"memory/memory.limit_in_bytes": "9223372036854771712"}, CPUS + 1),
    ],
)
def test_slots_fit_into_the_memory_of_a_container(tmp_path: Path, files: dict[str, str], slots: int) -> None:
    assert machine.worker_slots(group(tmp_path, files)) == slots


UNIT = "system.slice/facecloud-worker.service"
TWO_SLOTS = str(machine.BASE_BYTES + 2 * machine.SLOT_BYTES)
ENOUGH = str(64 * GIB)


@pytest.mark.parametrize(
    ("groups", "files"),
    [
        (f"0::/{UNIT}\n", {f"{UNIT}/memory.max": TWO_SLOTS}),
        (f"0::/{UNIT}\n", {f"{UNIT}/memory.max": "max", "system.slice/memory.max": TWO_SLOTS}),
        (f"0::/{UNIT}\n", {f"{UNIT}/memory.max": ENOUGH, "system.slice/memory.max": TWO_SLOTS}),
        (f"0::/{UNIT}\n", {f"{UNIT}/memory.max": TWO_SLOTS, "system.slice/memory.max": ENOUGH}),
        (f"0::/{UNIT}\n", {f"{UNIT}/cpu.max": "max 100000", "system.slice/cpu.max": "50000 100000"}),
        ("0::/\n", {"memory.max": TWO_SLOTS, "of.another/memory.max": "1"}),
        ("0::/../other unit\n", {"memory.max": TWO_SLOTS, "other unit/memory.max": "1"}),
        (
            f"5:devices:/{UNIT}\n4:memory:/{UNIT}\n3:cpu,cpuacct:/user.slice\n1:name=systemd:/x\n0::/{UNIT}\n",
            {
                f"memory/{UNIT}/memory.limit_in_bytes": TWO_SLOTS,
                "memory/user.slice/memory.limit_in_bytes": "1",
            },
        ),
    ],
)
def test_the_limits_of_a_systemd_unit_are_found_below_the_root(
    tmp_path: Path, groups: str, files: dict[str, str]
) -> None:
    """The unit's cgroup and each one above it may have a limit; the smallest counts."""
    (tmp_path / "own").write_text(groups)
    assert machine.worker_slots(group(tmp_path / "fs", files), tmp_path / "own") == 2


RAISE = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 2048))
from common import machine
print(machine.raise_open_files(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_open_files_are_raised_to_the_hard_limit() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RAISE], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["2048", "2048", "2048"]
