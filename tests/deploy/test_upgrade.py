"""deploy/upgrade keeps the images to go back to, also if an upgrade failed or is repeated.

A stand-in for Docker stores each tag, and the image of each running container, as a file.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

DOCKER = """\
#!/bin/sh
cd "$STATE"
echo "$*" >>calls
for last; do :; done
case "$*" in
    "compose ps"*) [ ! -e "running-$last" ] || echo "running-$last" ;;
    "compose build") for name in facecloud facecloud-worker; do echo "$BUILT of $name" >"$name"; done ;;
    "compose run"*) exit "$MIGRATED" ;;
    inspect*) cat "$last" ;;
    "image inspect"*) cat "$last" 2>/dev/null ;;
    tag*) if [ -e "$2" ]; then cp "$2" "$3"; else echo "$2" >"$3"; fi ;;
    rmi*) rm "$last" ;;
esac
"""
ROLL = """\
#!/bin/sh
cp "$STATE/facecloud" "$STATE/running-web"
cp "$STATE/facecloud-worker" "$STATE/running-worker"
"""


class Host:
    """A folder with deploy/upgrade, and a stand-in for Docker with its state."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state = folder, folder / "state"
        for name in ("state", "deploy", "bin"):
            (folder / name).mkdir()
        shutil.copy(REPOSITORY / "deploy" / "upgrade", folder / "deploy" / "upgrade")
        for path, text in (("bin/docker", DOCKER), ("deploy/roll", ROLL)):
            (folder / path).write_text(text)
            (folder / path).chmod(0o755)

    def upgrade(self, built: str, *, migrated: int = 0) -> int:
        environment = {
            "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
            "STATE": str(self.state), "BUILT": built, "MIGRATED": str(migrated),
        }  # fmt: skip
        script = self.folder / "deploy" / "upgrade"
        return subprocess.run([script], env=environment, timeout=60, check=False).returncode

    def images(self) -> dict[str, str]:
        """Return the image of each tag, except those of the last build."""
        tags = [path for path in self.state.iterdir() if ":" in path.name]
        return {path.name: path.read_text().strip() for path in tags}


def kept(version: str) -> dict[str, str]:
    return {f"{name}:previous": f"{version} of {name}" for name in ("facecloud", "facecloud-worker")}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_first_installation_has_no_previous_images(host: Host) -> None:
    assert host.upgrade("A") == 0
    assert host.images() == {}


def test_an_upgrade_that_failed_can_be_repeated(host: Host) -> None:
    """The images of the build that never ran are not those to go back to."""
    assert host.upgrade("A") == 0
    assert host.upgrade("B", migrated=1) == 1
    assert host.images() == kept("A")
    assert host.upgrade("B") == 0
    assert host.images() == kept("A")


def test_an_upgrade_without_changes_keeps_the_previous_images(host: Host) -> None:
    for version in ("A", "B", "B"):
        assert host.upgrade(version) == 0
    assert host.images() == kept("A")
    assert host.upgrade("C") == 0
    assert host.images() == kept("B")


def test_a_proxy_that_stays_reloads_its_configuration(host: Host) -> None:
    (host.state / "running-proxy").write_text("caddy")
    assert host.upgrade("A") == 0
    calls = (host.state / "calls").read_text().splitlines()
    assert calls[-1] == "compose exec -T proxy sh /etc/caddy/start-caddy.sh reload"
