"""compose.yaml agrees with the product that it runs."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from django.conf import settings

from embedded.site import WORKER_VARIABLES
from tests.client.scripted import reply, scripted
from tests.conftest import REPOSITORY
from tests.repository.settings_source import calls_of_env


@pytest.mark.parametrize(("status", "healthy"), [("200 OK", True), ("503 Service Unavailable", False)])
def test_the_health_check_calls_the_web_process(status: str, healthy: bool) -> None:
    """Docker's client may set proxy variables in every container."""
    services = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"]
    _shell, _python, *arguments = services["web"]["healthcheck"]["test"]
    with scripted(reply("200 OK", "a proxy")) as proxy, scripted(reply(status, "{}")) as web:
        asked = [argument.replace("http://localhost:8000", web.url) for argument in arguments]
        done = subprocess.run(
            [sys.executable, *asked],
            env={"http_proxy": proxy.url},
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert [request.path for request in web.requests] == ["/healthz"]
    assert (done.returncode == 0) == healthy
    assert proxy.requests == []


def test_registration_is_by_invitation_and_only_the_proxy_is_trusted() -> None:
    """Free packages are for invited customers, and only the proxy's network may set X-Forwarded-For."""
    compose = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())
    web = compose["services"]["web"]["environment"]
    assert web["REGISTRATION"] == "${REGISTRATION:-invited}"
    network, _ipv6 = compose["networks"]["proxy"]["ipam"]["config"]
    assert web["FORWARDED_ALLOW_IPS"] == network["subnet"]
    # The load balancers that .env lists are trusted too.
    assert web["TRUSTED_PROXIES"] == network["subnet"] + "${TRUSTED_PROXIES:+,}${TRUSTED_PROXIES:-}"
    assert sorted(
        name for name, one in compose["services"].items() if "proxy" in one.get("networks", [])
    ) == [
        "proxy",
        "web",
    ]


def test_every_setting_of_a_worker_reaches_it() -> None:
    """The worker reads no .env file, so a setting that is in neither list cannot be set."""
    names = {name for name, _call in calls_of_env(REPOSITORY / "facecloud" / "settings_worker.py")}
    assert "WORKER_CONCURRENCY" in names
    assert [name for name in sorted(names) if not WORKER_VARIABLES.fullmatch(name)] == []
    services = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"]
    of_the_image = {"MODELS_DIR", "FACECLOUD_VAR_DIR"}
    assert names - of_the_image - set(services["worker"]["environment"]) == set()


def test_a_change_of_the_number_of_containers_replaces_none() -> None:
    """Compose replaces a container whose environment changed, and the whole .env belongs to it."""
    services = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"]
    numbers = {
        service["scale"].strip("${}").partition(":")[0] for service in services.values() if "scale" in service
    }
    numbers -= {"POSTGRES_REPLICAS", "VALKEY_REPLICAS"}  # not changed while the site runs
    assert numbers == {"WEB_REPLICAS", "WORKER_REPLICAS"}
    reading = {name: service["environment"] for name, service in services.items() if "env_file" in service}
    assert reading
    for name, environment in reading.items():
        assert [environment[number] for number in sorted(numbers)] == ["", ""], name


@pytest.mark.parametrize("name", ["web", "mail"])
def test_containers_write_only_to_volumes_and_tmpfs(name: str) -> None:
    """Notes of answers that were sent, and mails without a server, are files in VAR_DIR."""
    compose = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())
    assert compose["services"][name]["read_only"] is True
    assert "var:/app/var" in compose["services"][name]["volumes"]
    assert "var" in compose["volumes"]


def test_every_queue_has_a_separate_process() -> None:
    """Scheduled tasks must not wait for pictures or for a mail server."""
    services = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"]
    commands = {name: str(service.get("command", "")) for name, service in services.items()}
    assert [services[name].get("build", {}).get("target") for name in ("web", "worker")] == ["web", "worker"]
    for queue in settings.CELERY_TASK_QUEUES:
        serving = [name for name, command in commands.items() if f"--queues {queue} " in command]
        assert serving == [queue]


def test_each_image_is_built_by_one_service() -> None:
    """Two builds of one tag at once fail on some engines, and each `up` would replace every container."""
    services = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"]
    built = [service["image"] for service in services.values() if "build" in service]
    assert sorted(built) == ["facecloud", "facecloud-worker"]


def test_every_service_has_limits() -> None:
    """They limit its logs, its memory and its processes."""
    services = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"]
    for name, service in services.items():
        assert {"max-size", "max-file"} <= service["logging"]["options"].keys(), name
        assert service["mem_limit"], name
        assert service["pids_limit"], name


def test_containers_have_time_to_finish_their_calls() -> None:
    services = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"]
    largest_s = settings.DEADLINE_S + 100 * settings.DEADLINE_PER_IMAGE_S
    assert int(services["web"]["stop_grace_period"].removesuffix("s")) > largest_s
    assert int(services["worker"]["stop_grace_period"].removesuffix("s")) > 4 * settings.PICTURE_MAX_S


def test_third_party_images_are_pinned_by_digest(tmp_path: Path) -> None:
    """A stand-in for Docker gives each image a digest; without one, nothing changes."""
    for name in ("compose.yaml", "Dockerfile"):
        (tmp_path / name).write_text((REPOSITORY / name).read_text())
    (tmp_path / "deploy").mkdir()
    shutil.copy(REPOSITORY / "deploy" / "pin", tmp_path / "deploy" / "pin")
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    env = {"PATH": f"{docker.parent}:/usr/bin:/bin"}

    def pin(digest: str, *arguments: str) -> tuple[int, list[str]]:
        docker.write_text(f'#!/bin/sh\necho "$4" >>asked\necho "{digest}"\n')
        docker.chmod(0o755)
        done = subprocess.run([tmp_path / "deploy" / "pin", *arguments], env=env, check=False, timeout=30)
        return done.returncode, (tmp_path / ".env").read_text().splitlines()

    (tmp_path / ".env").write_text("SITE_URL=https://x\n")
    first, second = (f"sha256:{letter * 64}" for letter in "ab")
    assert pin("no such image") == (1, ["SITE_URL=https://x"])
    assert pin(first)[0] == 0
    status, lines = pin(second)
    named = dict(line.split("=", 1) for line in lines)
    assert status == 0
    assert named.pop("SITE_URL") == "https://x"
    assert named.keys() == {"PYTHON_IMAGE", "POSTGRES_IMAGE", "VALKEY_IMAGE", "CADDY_IMAGE"}
    assert {image.partition("@")[2] for image in named.values()} == {second}
    assert pin(second, "--undo") == (0, ["SITE_URL=https://x"])
    # No third-party image is named in any other way.
    services = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"]
    others = {one["image"] for one in services.values()} - {"facecloud", "facecloud-worker"}
    assert all(re.fullmatch(r"\$\{\w+_IMAGE:-[^}]+\}", image) for image in others), others
    bases = set(re.findall(r"^FROM (\S+)", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE))
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE))
    assert bases - stages == {"$PYTHON_IMAGE"}
