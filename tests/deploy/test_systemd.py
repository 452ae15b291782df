"""The systemd units run the same processes as compose.yaml, each in a sandbox with limits."""

import shlex
from collections.abc import Iterator

import pytest
import yaml

from tests.conftest import REPOSITORY

UNITS = REPOSITORY / "deploy" / "systemd"
SERVICES = ("web", "worker", "scheduled", "mail", "beat")
SANDBOX = {
    "NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectSystem=strict", "ProtectHome=yes",
    "PrivateTmp=yes", "UMask=0077", "SystemCallFilter=@system-service", "TasksMax=512", "Restart=always",
}  # fmt: skip


def lines(name: str) -> Iterator[str]:
    yield from (UNITS / f"facecloud-{name}.service").read_text().splitlines()


def test_there_is_a_unit_for_each_process() -> None:
    assert {path.name for path in UNITS.glob("*.service")} == {
        f"facecloud-{name}.service" for name in SERVICES
    }


def test_the_target_starts_the_units_that_are_enabled_on_a_machine() -> None:
    """A Wants= in the target itself would start all five everywhere, and beat may run on one machine only."""
    target = (UNITS / "facecloud.target").read_text().splitlines()
    assert [line for line in target if line.startswith(("Wants=", "Requires="))] == []
    assert "WantedBy=multi-user.target" in target
    for name in SERVICES:
        assert {"WantedBy=facecloud.target", "PartOf=facecloud.target"} <= set(lines(name))


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_is_confined(name: str) -> None:
    assert set(lines(name)) >= SANDBOX
    assert any(line.startswith("MemoryMax=") for line in lines(name))
    assert [line for line in lines(name) if line.startswith("User=")] != ["User=root"]


def test_the_worker_gets_no_secret() -> None:
    files = {name: [line for line in lines(name) if line.startswith("EnvironmentFile=")] for name in SERVICES}
    assert files.pop("worker") == ["EnvironmentFile=/etc/facecloud/worker.env"]
    assert {tuple(found) for found in files.values()} == {("EnvironmentFile=/etc/facecloud/facecloud.env",)}
    assert "User=facecloud-worker" in lines("worker")


@pytest.mark.parametrize("name", ["worker", "scheduled", "mail", "beat"])
def test_a_unit_runs_what_compose_runs(name: str) -> None:
    (command,) = [line.removeprefix("ExecStart=") for line in lines(name) if line.startswith("ExecStart=")]
    service = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"][name]
    app = "inference" if name == "worker" else "facecloud"
    program, *arguments = shlex.split(command)
    assert program.endswith("/.venv/bin/celery")
    assert arguments[:3] == ["--app", app, "beat" if name == "beat" else "worker"]
    queues = [word for word in shlex.split(service.get("command", "")) if word in ("scheduled", "mail")]
    assert [word for word in arguments if word in ("scheduled", "mail")] == queues


def test_the_spool_is_not_in_the_memory_of_the_unit() -> None:
    """A private /tmp is in memory on many systems, and counts towards MemoryMax."""
    words = [word for line in lines("web") for word in line.removeprefix("Environment=").split()]
    (spool,) = [word.removeprefix("SPOOL_DIR=") for word in words if word.startswith("SPOOL_DIR=")]
    (state,) = [word.removeprefix("StateDirectory=") for word in words if word.startswith("StateDirectory=")]
    assert spool == f"/var/lib/{state}"  # the only writable folder besides /tmp
