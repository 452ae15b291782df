"""The two commands on a fresh machine: a first start, later ones, after crashes, and refusals."""

import base64
import hashlib
import hmac
import json
import os
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from bench.ports import free_port
from tests.conftest import wait_until
from tests.embedded.checkout import Checkout, Running, fresh_clone, running

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(400)]

NAMES = ["URL", "APP_KEY", "SECRET_KEY", "USER", "PASSWORD", "OPERATOR", "OPERATOR_PASSWORD"]
COUNT_CALLS = "from faceapi.models import Call; print('calls:', Call.objects.count())"


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    """Yield a checkout that is installed; each test finds it as an earlier run left it."""
    with fresh_clone() as checkout:
        yield checkout


@pytest.fixture
def port() -> str:
    return str(free_port())


def call_by_the_manual(demo: dict[str, str], picture: bytes) -> dict[str, Any]:
    """Return a signed face_detect written from the manual alone, with none of the project's code."""
    body = json.dumps({"data": ["data:image/png;base64," + base64.b64encode(picture).decode()]}).encode()
    timestamp = str(int(time.time() * 1000))
    to_sign = f"POST\n/api/v1/face_detect.json\n\n{timestamp}\n{hashlib.sha1(body).hexdigest()}"
    signature = hmac.new(demo["FACECLOUD_SECRET_KEY"].encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    headers = {"X-CTYUN-DT": timestamp, "Authorization": f"CTYUN {demo['FACECLOUD_APP_KEY']}:{signature}"}
    request = urllib.request.Request(demo["FACECLOUD_URL"] + "/api/v1/face_detect.json", body, headers)
    with urllib.request.urlopen(request, timeout=60) as reply:
        answer: dict[str, Any] = json.load(reply)
    return answer


def answered(demo: dict[str, str], picture: bytes) -> dict[str, Any]:
    """Make a call; repeat it with a new signature while the replay guard answers 503 after a restart."""
    for _ in range(10):
        try:
            return call_by_the_manual(demo, picture)
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise
            time.sleep(float(error.headers["Retry-After"]))
    raise AssertionError("never served")


def calls(checkout: Checkout) -> int:
    status, output = checkout.run("bin/manage", "shell", "-v", "0", "-c", COUNT_CALLS)
    assert status == 0, output
    return int(output.rpartition("calls:")[2])


def assert_files_are_hashed_and_compressed(url: str) -> None:
    """Each file of a page has a hashed name, is compressed, and may be cached for ever."""
    with urllib.request.urlopen(url + "/login/", timeout=30) as reply:
        page = reply.read().decode()
    files = re.findall(r'(?:href|src)="(/static/[^"]+\.(?:css|js))"', page)
    assert files
    for path in files:
        assert re.search(r"\.[0-9a-f]{12}\.", path), path
        request = urllib.request.Request(url + path, headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(request, timeout=30) as reply:
            assert reply.headers["Content-Encoding"] == "gzip"
            assert "immutable" in reply.headers["Cache-Control"]


def assert_it_answered(site: Running) -> None:
    answer = site.first_answer
    assert (answer["code"], answer["message"]) == (0, "成功")
    assert len(answer["result"][0]["face_list"]) == 1
    for part in ("/console/", site.demo["FACECLOUD_PASSWORD"], site.demo["FACECLOUD_URL"]):
        assert part in site.output


def test_a_fresh_clone_answers_starts_again_and_keeps_its_data(
    checkout: Checkout, port: str, astronaut: bytes
) -> None:
    with running(checkout, "--port", port) as site:
        assert_it_answered(site)
        assert_files_are_hashed_and_compressed(site.demo["FACECLOUD_URL"])
        assert {f"FACECLOUD_{name}" for name in NAMES} <= {name for name, value in site.demo.items() if value}
        for name in ("demo.env", "secrets.env"):
            assert (checkout.var / name).stat().st_mode & 0o777 == 0o600
        assert call_by_the_manual(site.demo, astronaut)["code"] == 0
        assert calls(checkout) == 2  # bin/manage, on the running services
        assert site.interrupt() == 0
        first = site.demo
    assert calls(checkout) == 2  # bin/manage, with the services that it starts
    with running(checkout, "--port", port) as site:
        assert_it_answered(site)
        assert site.demo == first
        assert calls(checkout) == 3


def test_it_starts_again_after_everything_was_killed(checkout: Checkout, port: str) -> None:
    with running(checkout, "--port", port):
        checkout.kill()
    with running(checkout, "--port", port) as site:
        assert_it_answered(site)


def test_it_starts_again_after_the_supervisor_alone_was_killed(checkout: Checkout, port: str) -> None:
    """Its children end with it, and an immediate start waits until they have released the port."""
    with running(checkout, "--port", port) as site:
        site.process.kill()
        site.process.wait()
        with running(checkout, "--port", port) as again:
            assert_it_answered(again)


def test_a_crashed_process_is_restarted(checkout: Checkout, port: str, astronaut: bytes) -> None:
    def comes_back(command: str, killed: list[int]) -> bool:
        return not set(killed) & set(checkout.processes(command)) and site.is_ready()

    with running(checkout, "--port", port) as site:
        for command in ("bin/postgres", "valkey-server", "celery --app facecloud worker", "gunicorn"):
            killed = checkout.kill(command)
            assert killed, command
            wait_until(
                partial(comes_back, command, killed), timeout_s=90, what=f"a site with a new {command}"
            )
            assert answered(site.demo, astronaut)["code"] == 0, command


def test_a_second_instance_is_refused(checkout: Checkout, port: str) -> None:
    with running(checkout, "--port", port):
        status, output = checkout.run("bin/start", "--port", str(int(port) + 1))
    assert status == 1
    assert "It is already running" in output
    assert len(output.splitlines()) == 1


def test_a_port_in_use_is_refused(checkout: Checkout) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        status, output = checkout.run("bin/start", "--port", str(port))
    assert status == 1
    advice = f"choose another: bin/start --port {port + 1}"
    assert output == f"Port {port} is in use by another program; {advice}\n"


def test_a_killed_start_is_completed_by_the_next(port: str) -> None:
    """Killed while it installs, and again while it prepares the tables."""
    with fresh_clone() as checkout:
        for half_way in (checkout.folder / ".venv" / "bin" / "uv", checkout.var / "log" / "prepare.log"):
            with checkout.popen("bin/start", "--port", port) as start:
                wait_until(half_way.exists, timeout_s=200, what=str(half_way))
                kill_all(checkout)
                start.communicate()
        with running(checkout, "--port", port) as site:
            assert_it_answered(site)


def kill_all(checkout: Checkout) -> None:
    checkout.kill()
    wait_until(lambda: not checkout.processes(), timeout_s=10, what="the end of all its processes")


@pytest.mark.skipif(os.getuid() != 0, reason="an ordinary user runs the other tests already")
def test_an_ordinary_user_can_run_it(port: str) -> None:
    with fresh_clone("nobody") as checkout, running(checkout, "--port", port) as site:
        assert_it_answered(site)
        assert (checkout.var / "demo.env").owner() == "nobody"
