"""Fixtures of the signed API: a site with tight limits, Alice's App, and a caller that signs requests."""

import base64
import contextlib
import hashlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from io import BufferedReader, BytesIO
from typing import Any, cast
from uuid import uuid4

import numpy as np
import pytest
from django.conf import settings
from django.db import connection
from django.test import override_settings
from django.utils import timezone
from PIL import Image
from pytest_django import DjangoDbBlocker

from accounts import keys
from accounts.models import App, AppKey, User
from bench.ports import free_port
from billing import orders
from billing.models import Api
from common import valkey
from embedded.services.managed_process import Process
from embedded.site import web_process
from faceapi.authentication import signing
from tests import purchases, rows
from tests.conftest import answers, wait_until
from tests.faceapi.servers import Servers, running

PREFIX = "data:application/octet-stream;base64,"
DETECT = "/api/v1/face_detect.json"
# Low, so that tests of limits are fast. URLs on 127.0.0.1 are allowed; 127.0.0.2 and all others are not.
LIMITS = {
    "URL_ALLOWED_NETWORKS": "127.0.0.1/32",
    "URL_TIMEOUT_S": "4",
    "URL_CALLS_PER_CUSTOMER": "2",
    "BODY_GRACE_S": "2",
    "BODY_MIN_BYTES_PER_S": str(1024 * 1024),
    "BODY_MAX_BYTES": str(64 * 1024 * 1024),
    "UNVERIFIED_BYTES_PER_MINUTE": str(10**12),  # all tests use one address
    "UNPAID_S_PER_MINUTE": "3",  # so low that the work of a few pictures still exceeds it when it is checked
    "QUEUE_MAX_CHUNKS": "50",
    "DEADLINE_S": "6",
    "WORKER_RETURN_S": "2",  # shorter than a silent worker counts as alive, so no call waits for one
    "TRUSTED_PROXIES": "127.0.0.1/32",
    "WEB_WORKERS": "1",
    "WEB_CONNECTIONS": "300",
    "WEB_CONNECTIONS_PER_ADDRESS": "60",
}


def inline(picture: bytes) -> str:
    return PREFIX + base64.urlsafe_b64encode(picture).decode()


@cache
def encode(size: tuple[int, int] = (64, 64), mode: str = "RGB", kind: str = "JPEG", **options: Any) -> bytes:
    """Return a valid picture of noise, without a face."""
    channels = {"L": 1, "RGB": 3, "RGBA": 4}[mode]
    noise = np.random.default_rng(7).integers(0, 255, (size[1], size[0], channels), dtype=np.uint8)
    out = BytesIO()
    Image.fromarray(noise.squeeze(), mode).save(out, kind, **options)
    return out.getvalue()


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    json: dict[str, Any]

    @property
    def code(self) -> int:
        return int(self.json["code"])


_clock = threading.Lock()
_last_ms = 0


def next_millisecond() -> int:
    """Return a unique time near now: equal bodies in one millisecond would have the same signature."""
    global _last_ms
    with _clock:
        _last_ms = max(_last_ms + 1, time.time_ns() // 1_000_000)
        return _last_ms


@dataclass
class Caller:
    """Signs and sends requests like a customer's program; tests can change each part."""

    address: str
    key: AppKey
    secret: str
    connections: list[http.client.HTTPConnection] = field(default_factory=list)

    def headers(
        self, body: bytes, path: str = DETECT, *, at_ms: int | None = None, method: str = "POST"
    ) -> dict[str, str]:
        target, query = signing.split_target(path)
        timestamp = str(at_ms or next_millisecond())
        to_sign = [method, target, query, timestamp, hashlib.sha1(body).hexdigest()]
        given = signing.signature(self.secret, "\n".join(to_sign).encode())
        return {
            "Authorization": f"CTYUN {self.key.key}:{given}",
            "X-CTYUN-DT": timestamp,
            "Content-Type": "application/json",
        }

    def send(
        self, body: bytes, path: str = DETECT, *, method: str = "POST", timeout_s: float = 60, **headers: str
    ) -> Answer:
        """Send a request. `headers` use _ for -; an empty value omits the header."""
        sent = self.headers(body, path, method=method)
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(self.address, timeout=timeout_s)
        self.connections.append(connection)
        connection.request(method, path, body, {name: value for name, value in sent.items() if value})
        reply = connection.getresponse()
        return Answer(reply.status, dict(reply.headers), json.loads(reply.read()))

    def body(self, data: object) -> bytes:
        return json.dumps({"data": data}).encode()

    def call(self, data: object, path: str = DETECT, **options: Any) -> Answer:
        return self.send(self.body(data), path, **options)

    def head(self, body: bytes, *lines: str) -> bytes:
        """Return request line and headers for `body`, with additional `lines`."""
        signed = [f"{name}: {value}" for name, value in self.headers(body).items()]
        start = [f"POST {DETECT} HTTP/1.1", f"Host: {self.address}"]
        return "\r\n".join([*start, *signed, *lines, "", ""]).encode()

    def promise(self, *lines: str) -> Answer:
        """Send the headers of a request without its body."""
        with self.raw() as sock:
            sock.sendall(self.head(b"", *lines))
            return read_answer(sock)

    def raw(self) -> socket.socket:
        """Return a bare connection, for requests that no HTTP library would send."""
        host, _, port = self.address.partition(":")
        return socket.create_connection((host, int(port)), timeout=30)

    def close(self) -> None:
        for opened in self.connections:
            opened.close()


def as_options(headers: dict[str, str]) -> dict[str, str]:
    """Return headers in the form for `Caller.send`."""
    return {name.replace("-", "_"): value for name, value in headers.items()}


def read_answer(sock: socket.socket) -> Answer:
    """Read the reply on a bare connection."""
    return read_answers(sock, 1)[0]


def read_answers(sock: socket.socket, count: int) -> list[Answer]:
    """Read `count` replies through one buffer, because a second reader would miss buffered bytes."""
    with sock.makefile("rb") as stream:
        return [_read_answer(stream) for _ in range(count)]


def _read_answer(stream: BufferedReader) -> Answer:
    start = stream.readline()
    assert start.startswith(b"HTTP/1.1 "), start
    headers = http.client.parse_headers(stream)
    content = stream.read(int(headers["Content-Length"]))
    return Answer(int(start.split()[1]), dict(headers), json.loads(content))


class Site(Process):
    """A web process with its host:port."""

    address: str


@pytest.fixture(scope="session")
def tight_site(worker: Process, product_environment: dict[str, str]) -> Iterator[Site]:
    """Yield a gunicorn with LIMITS, in front of the session's worker. `address` is host:port."""
    with running_site(product_environment | LIMITS, "tight") as site:
        yield site


@contextlib.contextmanager
def running_site(environment: dict[str, str], name: str) -> Iterator[Site]:
    """Run a gunicorn with this environment and logs in a folder `name`. `address` is host:port."""
    port = free_port()
    logs = settings.VAR_DIR / "log" / name
    logs.mkdir(parents=True, exist_ok=True)
    process = cast(Site, web_process(environment, host="127.0.0.1", port=port, logs=logs))
    process.start()
    try:
        url = f"http://127.0.0.1:{port}/readyz"
        wait_until(lambda: answers(url), timeout_s=60, what=f"{url} ({process.log})")
        process.address = f"127.0.0.1:{port}"
        yield process
    finally:
        process.stop()


@pytest.fixture(scope="session", autouse=True)
def orders_without_limit() -> Iterator[None]:
    """Let the one customer of all these tests create any number of orders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orders, "ORDERS_AT_MOST", 10**6)
        yield


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture(scope="module")
def transactional_db(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """pytest-django's fixture for a whole module: its rows are committed, and removed after its last test."""
    with django_db_blocker.unblock():
        assert connection.settings_dict["NAME"].startswith("test_")
        yield
        rows.restore()
        connection.close()


@pytest.fixture(scope="package", autouse=True)
def many_free_packages() -> Iterator[None]:
    """Allow many free packages, because each test orders for Alice."""
    with override_settings(FREE_PACKAGES_PER_CUSTOMER=10_000):
        yield


@pytest.fixture(scope="module")
def alice(transactional_db: None) -> User:
    return User.objects.create(username="alice", email="alice@example.org")


def buy(customer: User, api: str, at: datetime, *, app: App | None = None) -> App:
    """Order and pay a month of a thousand units of the API, and return the order."""
    return purchases.pay(purchases.place(customer, api=api, app=app, at=at), at)


@pytest.fixture
def app(alice: User, now: datetime) -> App:
    """Return a new App of Alice with a month of every API."""
    bought = buy(alice, Api.FACE_DETECT, now)
    for api in (Api.FACE_ANALYSE, Api.FACE_COMPARE):
        buy(alice, api, now, app=bought)
    return bought


@pytest.fixture
def caller(tight_site: Site, app: App) -> Iterator[Caller]:
    key = app.keys.get()
    caller = Caller(tight_site.address, key, keys.secret_of(key))
    valkey.client().delete(f"faceapi:unpaid:{app.customer_id}")  # all tests of a module share the customer
    wait_until(lambda: answers(f"http://{caller.address}/readyz"), timeout_s=10, what="a ready site")
    yield caller
    caller.close()


@pytest.fixture
def other_caller(caller: Caller, alice: User, now: datetime) -> Iterator[Caller]:
    """Yield a second App with a month of face_detect."""
    key = buy(alice, Api.FACE_DETECT, now).keys.get()
    other = Caller(caller.address, key, keys.secret_of(key))
    yield other
    other.close()


@pytest.fixture
def stranger(caller: Caller, now: datetime) -> Iterator[Caller]:
    """Return the caller of another customer with a month of face_detect."""
    bob = User.objects.create(username=uuid4().hex, email=f"{uuid4().hex}@example.org")
    key = buy(bob, Api.FACE_DETECT, now).keys.get()
    other = Caller(caller.address, key, keys.secret_of(key))
    yield other
    other.close()


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Hostile image servers on 127.0.0.1."""
    with running(encode((48, 48))) as started:
        yield started
