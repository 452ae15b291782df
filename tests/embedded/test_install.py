"""bin/install: each failure is one sentence, and an incomplete installation is repaired."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded.checkout import Checkout, fresh_clone

pytestmark = pytest.mark.end_to_end


@pytest.fixture
def checkout() -> Iterator[Checkout]:
    with fresh_clone() as checkout:
        yield checkout


NO_INDEX = {
    "PIP_CONFIG_FILE": "/dev/null",
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_FIND_LINKS": "",
}


def test_a_missing_network_is_reported(checkout: Checkout) -> None:
    status, output = checkout.run("bin/start", **NO_INDEX)
    assert status == 1
    assert output.splitlines()[-1].startswith(
        "The packages could not be installed: is the package index reachable?"
    )
    assert "Traceback" not in output


def test_a_full_disk_is_reported_if_nothing_could_be_logged(checkout: Checkout, tmp_path: Path) -> None:
    df = tmp_path / "df"
    df.write_text("#!/bin/sh\necho Filesystem\necho disk 1000000 999000 1000 100% /\n")
    df.chmod(0o755)
    status, output = checkout.run("bin/install", **NO_INDEX, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert status == 1
    assert output.splitlines()[-1].startswith("The disk is full: the packages need about 1 GB.")


def test_a_package_with_a_wrong_hash_is_rejected(checkout: Checkout) -> None:
    pins = checkout.folder / "requirements-uv.txt"
    pins.write_text(re.sub(r"sha256:[0-9a-f]{60}", "sha256:" + "0" * 60, pins.read_text()))
    status, output = checkout.run("bin/start")
    assert status == 1
    assert "other packages than the pinned ones (wrong hash)" in output.splitlines()[-1]
    assert "Traceback" not in output


def test_a_python_that_is_too_old_is_reported(checkout: Checkout, tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 && exit\nexit 1\n')
    old.chmod(0o755)
    status, output = checkout.run("bin/start", PYTHON=str(old))
    assert status == 1
    assert output.startswith(f"Python 3.11, 3.12, 3.13 or 3.14 is needed; {old} is Python 3.9.2.")


def test_a_read_only_folder_is_reported(checkout: Checkout) -> None:
    checkout.folder.parent.chmod(0o755)
    if os.getuid() == 0:  # root can write to every folder
        checkout = Checkout(checkout.folder, checkout.home, user="nobody")
    checkout.folder.chmod(0o555)
    status, output = checkout.run("bin/start")
    assert status == 1
    assert output == f"This folder can't be written to: {checkout.folder}\n"


def test_an_incomplete_installation_is_repaired_and_a_complete_one_kept(checkout: Checkout) -> None:
    assert checkout.run("bin/install")[0] == 0
    assert checkout.run("bin/install") == (0, "")
    django = next(checkout.folder.glob(".venv/lib/*/site-packages/django"))
    (django / "forms" / "__init__.py").unlink()
    (checkout.folder / ".venv" / ".installed-requirements.txt").unlink()
    (checkout.var / "installing").touch()  # as an installation that was killed leaves it
    assert checkout.run("bin/install")[0] == 0
    assert (django / "forms" / "__init__.py").exists()
    assert not (checkout.var / "installing").exists()
