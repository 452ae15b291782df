"""Test compose.yaml on a container engine and print the results: `python -m tests.deploy [--keep]`.

Uses a copy of the checkout, and a separate project name and ports: build, start, signed calls through the
proxy, more workers, upgrades, going back and restarts under load, restore, addresses, limits, down. Without
an engine it prints a message and exits with 0. The base images come from their registry, or from
tests/deploy/bases/make.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY
from tests.deploy.load import PATH, Load
from tests.deploy.resolver import Resolver

HTTP_PORT, HTTPS_PORT = 8650, 8651
PROJECT = "facecloud-deploy-test"
OURS = ("web", "worker", "scheduled", "mail", "beat")
THIRD_PARTY = ("postgres", "valkey", "proxy")
EVERYTHING = (*OURS, *THIRD_PARTY)
IMAGES = ("facecloud", "facecloud-worker")
OTHER_IMAGES = {"valkey": "VALKEY_IMAGE", "proxy": "CADDY_IMAGE"}
OVERRIDE = """
services:
  web: &watched { dns: [172.30.251.1] }
  worker: *watched
  scheduled: *watched
  mail: *watched
  beat: *watched
  migrate: *watched
networks:
  default:
    ipam:
      config: [{ subnet: 172.30.251.0/28 }]
"""
ENVIRONMENT = {
    "WEB_REPLICAS": "2",
    "WORKER_REPLICAS": "2",
    "HTTP_PORT": str(HTTP_PORT),
    "HTTPS_PORT": str(HTTPS_PORT),
    "PROXY_NETWORK": "172.30.250.0/28",
    "PROXY_NETWORK_IPV6": "fd00:facd::/64",
    "COMPOSE_PROJECT_NAME": PROJECT,
    "COMPOSE_FILE": "compose.yaml:compose.override.yaml",
    "SUPPORT_CONTACT": "a$b",
}


class Site:
    """A copy of the checkout, its containers, and the table of results."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"http://localhost:{HTTP_PORT}"
        self.failures = 0
        self.key = self.secret = ""
        self.picture = b""

    def run(self, *command: str, text: str | None = None, check: bool = True) -> str:
        done = subprocess.run(
            command, cwd=self.folder, input=text, capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout[-500:]} {done.stderr[-1500:]}")
        return done.stdout + ("" if check else done.stderr)

    def compose(self, *arguments: str, check: bool = True) -> str:
        return self.run("docker", "compose", *arguments, check=check)

    def inspect(self, service: str) -> list[dict[str, Any]]:
        ids = self.compose("ps", "--quiet", service).split()
        found: list[dict[str, Any]] = json.loads(self.run("docker", "inspect", *ids))
        return found

    def containers(self, *services: str) -> set[str]:
        return set(self.compose("ps", "--quiet", *services).split())

    def image(self, name: str) -> str:
        return self.run("docker", "image", "inspect", "--format", "{{.Id}}", name).strip()

    def change(self, name: str, value: str) -> None:
        """Change a variable in .env, or add it."""
        path = self.folder / ".env"
        lines = [line for line in path.read_text().splitlines() if not line.startswith(f"{name}=")]
        path.write_text("\n".join([*lines, f"{name}={value}", ""]))

    def check(self, name: str, look: Callable[[], tuple[bool, str]]) -> None:
        started = time.monotonic()
        try:
            is_right, what = look()
        except (RuntimeError, OSError, ValueError) as error:
            is_right, what = False, str(error).replace("\n", " ")
        self.failures += not is_right
        verdict = "ok" if is_right else "FAILED"
        sys.stdout.write(f"{verdict:6} {time.monotonic() - started:6.1f} s  {name:58} {what}\n")
        sys.stdout.flush()

    def under_load(self, *command: str) -> tuple[bool, str]:
        with Load(self.url, self.key, self.secret, self.picture) as load:
            self.run(*command)
        return load.failed == 0 and load.outcomes["code 0"] > 0, load.summary()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.deploy", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the containers and the copy")
    arguments = parser.parse_args()
    works = (
        shutil.which("docker")
        and not subprocess.run(["docker", "compose", "ls"], capture_output=True, check=False).returncode
    )
    if not works:
        sys.stdout.write("skipped: there is no docker with compose here\n")
        return 0
    folder = Path(os.environ.get("DEPLOY_TEST_DIR") or tempfile.mkdtemp(prefix="facecloud-deploy-"))
    site = Site(folder)
    copy(folder)
    try:
        with Resolver() as resolver:
            everything(site, resolver)
    finally:
        if not arguments.keep:
            site.compose("down", "--volumes", "--timeout", "5", check=False)
            site.run("docker", "rmi", *(f"{PROJECT}-{name}" for name in OTHER_IMAGES), check=False)
            shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(f"{site.failures} failures\n")
    return min(1, site.failures)


def copy(folder: Path) -> None:
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    for name in files:
        if name and (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    (folder / "compose.override.yaml").write_text(OVERRIDE)


def everything(site: Site, resolver: Resolver) -> None:
    site.check("configure writes .env", lambda: configure(site))
    site.check(".env wins over compose.yaml, a $ stays a $", lambda: precedence(site))
    site.check("up --build --wait", lambda: up(site))
    site.check("an unchanged up replaces nothing", lambda: unchanged(site))
    site.check("ENCRYPTION_KEY=abc is refused by migrate", lambda: bad_key(site))
    site.check("images: < 450 MB on top of the base, of which code < 10 MB", lambda: images(site))
    site.check("each container is limited", lambda: limits(site))
    site.check("a signed call through the proxy", lambda: first_call(site))
    site.check("check --deploy finds no error", lambda: deployed(site))
    site.check("a forged X-Forwarded-For is ignored", lambda: forged(site))
    site.check("more workers replace no container", lambda: scaled(site))
    site.check("valkey-cli as the application", lambda: valkey_cli(site))
    site.check("upgrade under load", lambda: upgrade(site))
    site.check("upgrade to other images of Valkey and the proxy", lambda: other_images(site))
    site.check("going back under load", lambda: back(site))
    for service in ("worker", "web", "scheduled", "mail", "beat"):
        site.check(f"restart {service} under load", lambda name=service: site.under_load(
            "docker", "compose", "restart", name))  # fmt: skip
    site.check("without a web container: 5003 with Retry-After", lambda: without_web(site))
    site.check("a suspended consumer is unhealthy", lambda: suspended(site))
    site.check("restore of a dump from before a change of the tables", lambda: restore(site))
    site.check("no foreign name was looked up", lambda: names(site, resolver))


def configure(site: Site) -> tuple[bool, str]:
    pairs = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
    site.run("deploy/configure", site.url, "filemail:", *pairs)
    return (site.folder / ".env").stat().st_mode & 0o77 == 0, "mode 0600"


def precedence(site: Site) -> tuple[bool, str]:
    own = {
        "DATABASE_URL": "postgres://app:p@db/x",
        "REDIS_URL": "rediss://u:p@v/0",
        "TRUSTED_PROXIES": "10.1.2.3/32",
    }
    (site.folder / "own.env").write_text("".join(f"{name}={value}\n" for name, value in own.items()))
    text = site.compose("--env-file", ".env", "--env-file", "own.env", "config", "--format", "json")
    web = json.loads(text)["services"]["web"]["environment"]
    told = [
        web["DATABASE_URL"],
        web["REDIS_URL"],
        web["TRUSTED_PROXIES"],
        web["SUPPORT_CONTACT"].replace("$$", "$"),
    ]
    return told == [*list(own.values())[:2], "172.30.250.0/28,10.1.2.3/32", "a$b"], ""


def up(site: Site) -> tuple[bool, str]:
    site.compose("up", "--build", "--detach", "--wait")
    states = site.compose("ps", "--format", "{{.Service}} {{.Health}}").split("\n")
    bad = [
        state for state in states if state and not state.endswith("healthy") and not state.startswith("proxy")
    ]
    return not bad, ", ".join(bad)


def unchanged(site: Site) -> tuple[bool, str]:
    before = site.containers()
    site.compose("up", "--build", "--detach", "--wait")
    return site.containers() == before, ""


def bad_key(site: Site) -> tuple[bool, str]:
    told = site.compose("run", "--rm", "--no-deps", "--env", "ENCRYPTION_KEY=abc", "migrate", check=False)
    return "ENCRYPTION_KEY: a key is" in told and "abc" not in told, ""


def layers(site: Site, image: str) -> list[int]:
    lines = site.run("docker", "history", "--human=false", "--format", "{{.Size}}", image).split()
    return [int(line) for line in lines]


def images(site: Site) -> tuple[bool, str]:
    base = sum(layers(site, "python:3.13-slim"))
    own = {name: sum(layers(site, name)) - base for name in IMAGES}
    # The newest layers are the code, above the packages and the models.
    code = {name: sum(size for size in layers(site, name)[:8] if size < 40_000_000) for name in own}
    words = ", ".join(
        f"{name} {own[name] / 1e6:.0f} + {base / 1e6:.0f} MB, code {code[name] / 1e6:.1f} MB" for name in own
    )
    return all(size < 450e6 for size in own.values()) and all(size < 10e6 for size in code.values()), words


def limits(site: Site) -> tuple[bool, str]:
    bad = []
    for service in EVERYTHING:
        for found in site.inspect(service):
            host = found["HostConfig"]
            is_right = {
                "log": host["LogConfig"]["Config"].get("max-size"),
                "memory": host["Memory"],
                "pids": host["PidsLimit"],
                "read-only": host["ReadonlyRootfs"],
                "capabilities": host["CapDrop"] == ["ALL"],
                "user": service == "proxy" or found["Config"]["User"].partition(":")[0].isdigit(),
            }
            bad += [f"{service}: {name}" for name, right in is_right.items() if not right]
    return not bad, ", ".join(bad)


def first_call(site: Site) -> tuple[bool, str]:
    made = json.loads(site.compose("exec", "-T", "web", "python", "manage.py", "seed_demo", "--json"))
    site.key, site.secret = made["FACECLOUD_APP_KEY"], made["FACECLOUD_SECRET_KEY"]
    site.picture = subprocess.run(
        ["docker", "compose", "exec", "-T", "worker", "cat", "/app/models/astronaut.png"],
        cwd=site.folder, capture_output=True, check=True,
    ).stdout  # fmt: skip
    return site.under_load("true")


def deployed(site: Site) -> tuple[bool, str]:
    """Run the last step of the installation, once the first scheduled task has run."""
    for _attempt in range(30):
        told = site.compose("exec", "-T", "web", "python", "manage.py", "check", "--deploy", check=False)
        errors = sorted(set(re.findall(r"facecloud\.E\d+", told)))
        if errors != ["facecloud.E008"]:
            break
        time.sleep(5)
    return not errors and "System check identified" in told, ", ".join(errors)


def forged(site: Site) -> tuple[bool, str]:
    request = urllib.request.Request(
        site.url + PATH, b"{}", {"X-Forwarded-For": "203.0.113.9", "Authorization": "CTYUN nobody:nothing"}
    )
    try:
        urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        error.read()
    time.sleep(2)
    log = site.compose("logs", "--no-log-prefix", "web")
    return "203.0.113.9" not in log, ""


def scaled(site: Site) -> tuple[bool, str]:
    """Start a third worker as the runbook does, and end one again with a plain `up`."""
    before = site.containers()
    site.change("WORKER_REPLICAS", "3")
    site.compose("up", "--detach", "--wait", "--no-deps", "--no-recreate", "worker")
    more = site.containers()
    site.change("WORKER_REPLICAS", "2")
    site.compose("up", "--detach", "--wait")
    fewer = site.containers()
    others = site.containers(*(name for name in EVERYTHING if name != "worker"))
    is_right = before < more and others < before and (len(more), len(fewer)) == (len(before) + 1, len(before))
    return is_right, f"{len(before)}, {len(more)}, {len(fewer)} containers"


def valkey_cli(site: Site) -> tuple[bool, str]:
    told = [site.run("deploy/valkey/cli", *words).strip() for words in (("ping",), ("llen", "scheduled"))]
    return told[0] == "PONG" and told[1].isdigit(), ", ".join(told)


def upgrade(site: Site) -> tuple[bool, str]:
    """Upgrade to code that differs; the number of containers of each service must be kept."""
    (site.folder / "common" / "upgraded.py").write_text('"""A change of the code."""\n')
    before = site.containers()
    is_right, words = site.under_load("deploy/upgrade")
    counts = {name: len(site.containers(name)) for name in OURS}
    is_right &= site.containers(*THIRD_PARTY) < before and not site.containers(*OURS) & before
    wanted = {"web": 2, "worker": 2, "scheduled": 1, "mail": 1, "beat": 1}
    return is_right and counts == wanted, f"{words}; " + ", ".join(
        f"{count} {name}" for name, count in counts.items()
    )


def other_images(site: Site) -> tuple[bool, str]:
    """Upgrade with the same images of Valkey and Caddy under other names, and with unchanged code.

    The images to go back to must be kept.
    """
    before, previous = site.containers(), [site.image(f"{name}:previous") for name in IMAGES]
    services = json.loads(site.compose("config", "--format", "json"))["services"]
    for name, variable in OTHER_IMAGES.items():
        site.run("docker", "tag", services[name]["image"], f"{PROJECT}-{name}")
        site.change(variable, f"{PROJECT}-{name}")
    site.run("deploy/upgrade")
    is_right = not site.containers(*OTHER_IMAGES) & before and site.containers("postgres") < before
    is_right &= [site.image(f"{name}:previous") for name in IMAGES] == previous
    is_served, words = site.under_load("sleep", "3")
    return is_right and is_served, words


def back(site: Site) -> tuple[bool, str]:
    """Go back to the images from before the change of the code, as the manual does."""
    for name in IMAGES:
        site.run("docker", "tag", f"{name}:previous", name)
    is_right, words = site.under_load("deploy/roll", "web", "worker", "scheduled", "mail")
    site.compose("up", "--detach", "--wait", "--no-deps", "--no-build", "beat")
    running = {found["Image"] for service in OURS for found in site.inspect(service)}
    return is_right and running == {site.image(name) for name in IMAGES}, words


def without_web(site: Site) -> tuple[bool, str]:
    site.compose("stop", "web")
    try:
        urllib.request.urlopen(urllib.request.Request(site.url + PATH, b"{}"), timeout=90)
    except urllib.error.HTTPError as error:
        told = json.loads(error.read())
        return (error.code, told["code"]) == (503, 5003) and bool(error.headers["Retry-After"]), told[
            "detail"
        ]
    finally:
        site.compose("up", "--detach", "--wait", "web")
    return False, "it was answered"


def suspended(site: Site) -> tuple[bool, str]:
    container = site.inspect("scheduled")[0]["Id"]
    health = ("docker", "inspect", "--format", "{{.State.Health.Status}}", container)
    site.run("docker", "kill", "--signal", "STOP", container)
    try:
        deadline = time.monotonic() + 180
        while (status := site.run(*health).strip()) != "unhealthy" and time.monotonic() < deadline:
            time.sleep(2)
    finally:
        site.run("docker", "kill", "--signal", "CONT", container)
    return status == "unhealthy", status


def restore(site: Site) -> tuple[bool, str]:
    site.run("deploy/backup", "before.dump")
    psql = ("exec", "-T", "postgres", "psql", "--username", "facecloud", "--command")
    site.compose(
        *psql, "CREATE TABLE of_a_later_version (id int); UPDATE accounts_user SET first_name = 'later'"
    )
    told = site.run("deploy/restore", "before.dump")
    users = "SELECT count(*) FROM accounts_user WHERE first_name = 'later'"
    found = site.compose(*psql, f"SELECT to_regclass('of_a_later_version') IS NULL, ({users})")
    is_as_before = re.search(r"t +\| +0", found) is not None
    with Load(site.url, site.key, site.secret, site.picture) as load:
        time.sleep(3)
    is_served = load.failed == 0 and load.outcomes["code 0"] > 0
    return is_as_before and is_served, f"{told.strip().splitlines()[-1]}; {load.summary()}"


def names(site: Site, resolver: Resolver) -> tuple[bool, str]:
    """Check that no foreign name was looked up so far, and that the resolver would have recorded one.

    The engine passes on the name of a service that has no container at that moment, as during an upgrade.
    """
    if not resolver.listens:
        return True, "not checked: port 53 cannot be listened on here"
    found = sorted(resolver.names - set(EVERYTHING))
    look = "import socket; socket.gethostbyname('control.invalid')"
    site.compose("exec", "-T", "worker", "python", "-c", look, check=False)
    return not found and "control.invalid" in resolver.names, ", ".join(found)


if __name__ == "__main__":
    sys.exit(main())
