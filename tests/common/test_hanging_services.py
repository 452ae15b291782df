"""PostgreSQL or Valkey is stopped by SIGSTOP, while its kernel still responds: calls get 5003 in time."""

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from bench.ports import free_port
from embedded.environment import KEYS, read_env, secret_values
from embedded.paths import REPOSITORY, Paths
from embedded.services.pair import Service, Services
from embedded.site import web_process
from faceapi.authentication.signing import sign
from tests.conftest import answers, wait_until

WITHIN_S = 60  # with the limits below it takes 10 s; a busy machine needs more
LIMITS = {
    "DB_STATEMENT_TIMEOUT_S": "2",
    "DB_LOCK_TIMEOUT_S": "1",
    "DB_CONNECT_TIMEOUT_S": "2",
    "VALKEY_TIMEOUT_S": "2",
    "DB_CONNECTIONS": "4",
    "WEB_WORKERS": "1",
}
DETECT = "/api/v1/face_detect.json"


@dataclass
class Site:
    url: str
    services: dict[str, Service]
    key: str
    secret: str

    def call(self) -> tuple[int, float]:
        """Return the code of a signed call, and how long it took."""
        body = json.dumps({"data": [f"data:image/png;base64,{base64.b64encode(os.urandom(60)).decode()}"]})
        headers = sign(self.key, self.secret, "POST", DETECT, "", int(time.time() * 1000), body.encode())
        request = urllib.request.Request(self.url + DETECT, body.encode(), headers)
        started = time.monotonic()
        try:
            with urllib.request.urlopen(request, timeout=2 * WITHIN_S) as reply:
                answer = json.load(reply)
        except urllib.error.HTTPError as error:
            answer = json.load(error)
        return int(answer["code"]), time.monotonic() - started

    @contextmanager
    def stopped(self, variable: str) -> Iterator[None]:
        leader = psutil.Process(self.services[variable].process.pid)
        family = [leader, *leader.children(recursive=True)]
        for process in family:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in family:
                process.send_signal(signal.SIGCONT)


@pytest.fixture(scope="module")
def site(models: Path) -> Iterator[Site]:
    """Yield a web process with separate services, which the tests stop."""
    with tempfile.TemporaryDirectory(prefix="facecloud-") as name, pytest.MonkeyPatch.context() as patch:
        patch.delenv("DATABASE_URL")
        patch.delenv("REDIS_URL")
        paths = Paths(Path(name))
        paths.make()
        services = Services.of(paths, durable=False)
        with services.running() as addresses:
            port = free_port()
            url = f"http://127.0.0.1:{port}"
            environment = {
                **os.environ,
                **addresses,
                **secret_values(paths.secrets, KEYS),
                **LIMITS,
                "FACECLOUD_VAR_DIR": name,
                "MODELS_DIR": str(models),
            }
            prepare = [sys.executable, "-m", "embedded.prepare", url]
            subprocess.run(prepare, env=environment, cwd=REPOSITORY, check=True, timeout=240)
            demo = read_env(paths.demo)
            web = web_process(environment, host="127.0.0.1", port=port, logs=paths.logs)
            web.start()
            try:
                wait_until(lambda: answers(f"{url}/healthz"), timeout_s=90, what=f"{url} ({web.log})")
                yield Site(url, services.embedded, demo["FACECLOUD_APP_KEY"], demo["FACECLOUD_SECRET_KEY"])
            finally:
                web.stop()


@pytest.mark.parametrize("variable", ["DATABASE_URL", "REDIS_URL"])
def test_5003_within_the_limit_if_a_service_hangs(site: Site, variable: str) -> None:
    code, _took = site.call()
    assert code == 5003  # there is no worker, but the connections to PostgreSQL and Valkey are open now
    with site.stopped(variable), ThreadPoolExecutor(8) as pool:
        found = [future.result() for future in [pool.submit(site.call) for _number in range(8)]]
        assert answers(f"{site.url}/healthz")
    assert {code for code, _took in found} == {5003}
    assert max(took for _code, took in found) < WITHIN_S
    wait_until(lambda: readiness(site)["database"] and readiness(site)["broker"], timeout_s=60, what="both")


def test_a_burst_uses_at_most_the_configured_connections(site: Site) -> None:
    with ThreadPoolExecutor(24) as pool:
        codes = {future.result()[0] for future in [pool.submit(site.call) for _number in range(96)]}
    assert codes <= {4291, 5003}  # the App has too many calls at once, or there is no worker
    database = site.services["DATABASE_URL"]
    connection = database.connect()
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        (held,) = cursor.fetchone()
    connection.close()
    assert 1 <= held <= int(LIMITS["DB_CONNECTIONS"])


def readiness(site: Site) -> dict[str, bool]:
    try:
        with urllib.request.urlopen(f"{site.url}/readyz", timeout=WITHIN_S) as reply:
            found: dict[str, bool] = json.load(reply)
    except urllib.error.HTTPError as error:
        found = json.load(error)
    return found
