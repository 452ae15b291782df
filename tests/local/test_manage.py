"""bin/manage beside another one."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from facecloud.local import preflight
from facecloud.local.places import Places
from tests.conftest import REPOSITORY

ASK = "from django.db import connection as c; c.ensure_connection(); print('asked')"


def test_it_waits_for_another_whose_services_end_with_it() -> None:
    with tempfile.TemporaryDirectory(prefix="facecloud-") as folder:
        places = Places(Path(folder))
        places.make()
        services = {"DATABASE_URL", "REDIS_URL"}
        environment = {name: value for name, value in os.environ.items() if name not in services}
        with preflight.only_one(places.lock, "bin/manage"):
            waiting = subprocess.Popen(
                [sys.executable, "-m", "facecloud.local.manage", "shell", "-v", "0", "-c", ASK],
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


def test_a_file_that_cannot_be_written_is_one_sentence() -> None:
    with tempfile.TemporaryDirectory(prefix="facecloud-") as folder:
        (Path(folder) / "secrets.env.new").mkdir()
        done = subprocess.run(
            [sys.executable, "-m", "facecloud.local.manage", "check"],
            cwd=REPOSITORY,
            env={**os.environ, "FACECLOUD_VAR_DIR": folder},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    (told,) = done.stderr.splitlines()
    assert "secrets.env.new" in told
