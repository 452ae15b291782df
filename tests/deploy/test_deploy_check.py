"""bin/deploy-check names what an installation with systemd is missing, and its remedy."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder that simulates / with every unit enabled, and lacks only what this machine lacks."""
    units, settings = tmp_path / "etc/systemd/system", tmp_path / "etc/facecloud"
    shutil.copytree(REPOSITORY / "deploy/systemd", units)
    for unit in sorted(units.iterdir()):
        target = "multi-user.target" if unit.suffix == ".target" else "facecloud.target"
        (units / f"{target}.wants").mkdir(exist_ok=True)
        (units / f"{target}.wants" / unit.name).symlink_to(unit)
    settings.mkdir(parents=True)
    (settings / "facecloud.env").write_text(
        "DJANGO_SECRET_KEY=weak\nENCRYPTION_KEY='no key'\n# a comment\nDATABASE_URL=x\nREDIS_URL=y\n"
        "SITE_URL=z\n"
    )
    (settings / "worker.env").write_text("REDIS_URL=y\nMODELS_DIR=/models\n")
    for file in settings.iterdir():
        file.chmod(0o600)
    return tmp_path


def missing(root: Path) -> tuple[int, str]:
    """Return the exit status and the lines that name something missing, users aside."""
    run = subprocess.run(
        [sys.executable, "bin/deploy-check"],
        cwd=REPOSITORY, env={**os.environ, "DEPLOY_CHECK_ROOT": str(root)}, capture_output=True, text=True,
    )  # fmt: skip
    lines = [line for line in run.stdout.splitlines() if line.startswith("MISSING")]
    return run.returncode, "\n".join(line for line in lines if "user" not in line)


def test_complete_files_and_units_are_not_reported(root: Path) -> None:
    status, found = missing(root)
    assert status == 1  # the keys of this test are invalid
    assert [line.split()[1:4] for line in found.splitlines() if "django.mo" not in line] == [
        ["manage.py", "check", "--deploy:"]
    ]


def test_what_is_missing_is_named_with_its_remedy(root: Path) -> None:
    settings, units = root / "etc/facecloud", root / "etc/systemd/system"
    (settings / "worker.env").write_text("REDIS_URL=y\nENCRYPTION_KEY=secret-value\n")
    (settings / "facecloud.env").chmod(0o644)
    (units / "facecloud-beat.service").unlink()
    (units / "facecloud-web.service").write_text("[Service]\n")
    _status, found = missing(root)
    for word in (
        "chmod 0600", "set MODELS_DIR", "remove ENCRYPTION_KEY", "unit facecloud-beat.service",
        "unit facecloud-web.service",
    ):  # fmt: skip
        assert word in found
    assert "secret-value" not in found


def test_a_machine_for_inference_needs_only_what_its_worker_needs(root: Path) -> None:
    (root / "etc/facecloud/facecloud.env").unlink()
    for link in (root / "etc/systemd/system/facecloud.target.wants").iterdir():
        if link.name != "facecloud-worker.service":
            link.resolve().unlink()
            link.unlink()
    assert missing(root)[1] == ""
    (root / "etc/facecloud/worker.env").unlink()
    assert "worker.env" in missing(root)[1]


def test_units_that_do_not_start_at_boot_are_reported(root: Path) -> None:
    units = root / "etc/systemd/system"
    (units / "multi-user.target.wants/facecloud.target").unlink()
    assert "facecloud.target is enabled" in missing(root)[1]
    shutil.rmtree(units / "facecloud.target.wants")
    (units / "facecloud-mail.service").unlink()
    found = missing(root)[1]
    assert "units are enabled" in found
    assert "unit facecloud-mail.service" in found  # no choice was made, so all are expected
