"""The client as a separate package: the wheel of client/pyproject.toml runs by itself."""

import os
import subprocess
import sys
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest
from facecloud_client.version import VERSION

from tests.client.scripted import OK, reply, scripted
from tests.conftest import REPOSITORY

UV = [sys.executable, "-m", "uv", "--quiet", "--offline"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel, built without a network, because uv includes the build backend."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [*UV, "build", "--wheel", "--out-dir", str(folder), str(REPOSITORY / "client")],
        check=True,
        timeout=120,
    )
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_has_complete_metadata(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith("/METADATA"))
        told = Parser().parsestr(archive.read(metadata).decode())
    assert (told["Name"], told["Version"]) == ("facecloud-client", VERSION)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"facecloud_client"}


def test_the_installed_command_gets_an_answer(wheel: Path, tmp_path: Path, astronaut: bytes) -> None:
    """Runs in another folder, with the client's code from the wheel only."""
    site, picture = tmp_path / "site", tmp_path / "a.png"
    picture.write_bytes(astronaut)
    subprocess.run(
        [*UV, "pip", "install", "--no-deps", "--target", str(site), str(wheel)], check=True, timeout=120
    )
    with scripted(reply("200 OK", OK)) as server:
        done = subprocess.run(
            [site / "bin" / "facecloud", "detect", str(picture), "--json"],
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "PYTHONPATH": str(site),
                "FACECLOUD_URL": server.url,
                "FACECLOUD_APP_KEY": "0123456789abcdef",
                "FACECLOUD_SECRET_KEY": "0123456789abcdef" * 2,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert "a.png" in done.stdout
