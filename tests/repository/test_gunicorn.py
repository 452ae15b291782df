"""The web process is configured by the settings, even if gunicorn is started by hand."""

import os
import re
import shutil
import subprocess
import sys
from ast import literal_eval
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


def gunicorn(folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Return the outcome of a start; with a valid configuration it is only printed."""
    command = ["gunicorn", "--config", "deploy/gunicorn.conf.py", "--print-config", "facecloud.wsgi"]
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("wrong", ["0", "many"])
def test_an_invalid_number_is_reported_in_one_sentence(wrong: str) -> None:
    done = gunicorn(REPOSITORY, WEB_WORKERS=wrong)
    (told,) = done.stderr.splitlines()
    assert told.startswith("A setting in the environment or in .env is wrong: WEB_WORKERS")
    assert done.returncode == 1


def test_fewer_threads_than_calls_are_reported_in_one_sentence() -> None:
    done = gunicorn(REPOSITORY, WEB_THREADS="32")
    (told,) = done.stderr.splitlines()
    assert told.endswith("need 36: set WEB_THREADS to 44")
    assert done.returncode == 1
    assert gunicorn(REPOSITORY, WEB_THREADS="44").returncode == 0
    assert gunicorn(REPOSITORY, WEB_THREADS="32", CALLS_AT_ONCE="14").returncode == 0


def test_settings_are_read_from_the_env_file_too(tmp_path: Path) -> None:
    for name in ("deploy", "facecloud", "common"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    (tmp_path / ".env").write_text("WEB_WORKERS=3\nWEB_THREADS=50\nFORWARDED_ALLOW_IPS=10.1.0.0/16\n")
    taken = dict(re.findall(r"^(\w+) += (.*)$", gunicorn(tmp_path).stdout, re.MULTILINE))
    assert (taken["workers"], taken["threads"]) == ("3", "50")
    assert literal_eval(taken["forwarded_allow_ips"]) == ["10.1.0.0/16"]


def test_clients_cannot_set_script_name() -> None:
    """Check that SCRIPT_NAME and PATH_INFO are not taken from headers, as gunicorn does from loopback."""
    taken = dict(re.findall(r"^(\w+) += (.*)$", gunicorn(REPOSITORY).stdout, re.MULTILINE))
    assert taken["forwarder_headers"] == "[]"


@pytest.mark.parametrize(
    ("environment", "trusted"),
    [
        ({"TRUSTED_PROXIES": ""}, ["127.0.0.1", "::1"]),
        # gunicorn alone would refuse a network with host bits.
        ({"TRUSTED_PROXIES": "10.1.2.3/8,fd00::/64"}, ["127.0.0.1", "::1", "10.0.0.0/8", "fd00::/64"]),
        ({"TRUSTED_PROXIES": "10.0.0.0/8", "FORWARDED_ALLOW_IPS": "10.1.0.0/16"}, ["10.1.0.0/16"]),
    ],
)
def test_the_scheme_is_taken_from_the_trusted_proxies(
    environment: dict[str, str], trusted: list[str]
) -> None:
    """X-Forwarded-Proto is trusted from the same addresses as X-Forwarded-For, and from this host."""
    done = gunicorn(REPOSITORY, **environment)
    taken = dict(re.findall(r"^(\w+) += (.*)$", done.stdout, re.MULTILINE))
    assert literal_eval(taken["forwarded_allow_ips"]) == trusted
