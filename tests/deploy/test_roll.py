"""deploy/roll starts as many containers of a service as .env sets for it, with the awk of this machine."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

# As `docker compose config` prints it.
CONFIG = """\
name: facecloud
services:
  beat:
    image: facecloud
  scheduled:
    image: facecloud
    command:
      - celery
  web:
    scale: 3
    image: facecloud
  worker:
    environment:
      WORKER_QUEUES: inference
    scale: 2
networks:
  default:
    name: facecloud_default
"""


@pytest.mark.parametrize(("service", "count"), [("web", 3), ("worker", 2), ("scheduled", 1), ("beat", 1)])
def test_each_service_has_its_own_number_of_containers(service: str, count: int, tmp_path: Path) -> None:
    """Some versions of mawk do not know {0,2}: each service got the number of the last one."""
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\ncat <<'END'\n{CONFIG}END\n")
    docker.chmod(0o755)
    wanted = subprocess.run(
        ["sh", "-c", f'. "$0"; wanted {service}', REPOSITORY / "deploy" / "roll"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert wanted.stdout.strip() == str(count)
