"""bin/manage while another instance runs, and with invalid settings."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from embedded import preflight
from embedded.paths import Paths
from tests.conftest import REPOSITORY

ASK = "from django.db import connection as c; c.ensure_connection(); print('asked')"


def test_it_waits_for_another_instance_to_stop() -> None:
    with tempfile.TemporaryDirectory(prefix="facecloud-") as folder:
        paths = Paths(Path(folder))
        paths.make()
        services = {"DATABASE_URL", "REDIS_URL"}
        environment = {name: value for name, value in os.environ.items() if name not in services}
        with preflight.only_one(paths.lock, "bin/manage"):
            waiting = subprocess.Popen(
                [sys.executable, "-m", "embedded.manage", "shell", "-v", "0", "-c", ASK],
                cwd=REPOSITORY,
                env={**environment, "FACECLOUD_VAR_DIR": folder},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            assert waiting.stderr is not None
            assert waiting.stderr.readline() == f"Waiting for process {os.getpid()}, bin/manage ...\n"
        printed, told = waiting.communicate(timeout=60)
    assert (waiting.returncode, printed) == (0, "asked\n"), told


def manage(folder: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run bin/manage; `environment` overrides the variables of this test run."""
    return subprocess.run(
        [sys.executable, "-m", "embedded.manage", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "FACECLOUD_VAR_DIR": folder, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_unwritable_file_is_reported_in_one_sentence() -> None:
    with tempfile.TemporaryDirectory(prefix="facecloud-") as folder:
        (Path(folder) / "secrets.env.new").mkdir()
        done = manage(folder, "check")
    assert done.returncode == 1
    (told,) = done.stderr.splitlines()
    assert "secrets.env.new" in told


WRONG = "A setting in the environment or in .env is wrong: "


@pytest.mark.parametrize(
    ("command", "name", "value", "told"),
    [
        ("check", "CLOCK_SKEW_S", "soon", f"{WRONG}CLOCK_SKEW_S: "),
        ("check", "DATABASE_URL", "mysql://x", f"{WRONG}DATABASE_URL should be postgres://"),
        ("reencrypt_secrets", "ENCRYPTION_KEY", "short", f"{WRONG}ENCRYPTION_KEY: "),
        (
            "reconcile",
            "DATABASE_URL",
            "postgres://x@127.0.0.1:1/x",
            "The database of DATABASE_URL can't be reached: ",
        ),
    ],
)
def test_an_invalid_setting_is_reported_in_one_sentence(
    command: str, name: str, value: str, told: str
) -> None:
    with tempfile.TemporaryDirectory(prefix="facecloud-") as folder:
        done = manage(folder, command, **{name: value})
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(told)


def test_check_deploy_reports_a_valkey_that_does_not_answer() -> None:
    with tempfile.TemporaryDirectory(prefix="facecloud-") as folder:
        done = manage(folder, "check", "--deploy", REDIS_URL="redis://127.0.0.1:1")
    assert done.returncode == 1
    assert "facecloud.E006" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_invalid_valkey_address_is_reported_in_one_sentence() -> None:
    with tempfile.TemporaryDirectory(prefix="facecloud-") as folder:
        done = manage(folder, "check", "--deploy", REDIS_URL="nonsense")
    assert done.returncode == 2
    assert "REDIS_URL should begin with redis://" in done.stderr
    assert "Traceback" not in done.stderr
