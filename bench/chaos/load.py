"""Signed calls from several clients, and a record of their answers."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import itertools
import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

from bench.load.service import inline
from faceapi.authentication.signing import sign

CLIENT_TIMEOUT_S = 120.0  # longer than any wait of the product, so a call without an answer is a finding
KEY_ATTEMPTS = 8
RETRIED = (4105, 4291, 4292, 5003, 5004)
HUNG_UP, NO_ANSWER = "hung up", "no answer"
HANG_UP_BYTES = 8192  # the smallest body of a hang-up; larger than that of other calls with such pictures
DETECT, ANALYSE, COMPARE = (
    f"/api/v1/{name}.json" for name in ("face_detect", "face_analyse", "face_compare")
)


@dataclass(frozen=True)
class Sent:
    """One request and its answer; `fault` is the reason if there is none.

    `key` is the SHA-256 of its Idempotency-Key; `is_repeat` is set if the answer is that of an earlier
    request. `body_bytes` is set for hang-ups, whose bodies all have different lengths, so that their calls
    can be found.
    """

    sent_at: float
    took_s: float
    status: int = 0
    code: int = -1
    units: int = 0
    call_id: str = ""
    key: str = ""
    is_repeat: bool = False
    fault: str = ""
    body_bytes: int = 0


@dataclass(frozen=True)
class Kind:
    """A kind of call: its frequency, API and number of pictures."""

    weight: int
    path: str
    pictures: int
    has_face: bool = False
    has_key: bool = False
    hangs_up: bool = False


KINDS = (
    Kind(50, DETECT, 1),
    Kind(10, DETECT, 3),
    Kind(5, ANALYSE, 1, has_face=True),
    Kind(5, COMPARE, 2, has_face=True),
    Kind(20, DETECT, 1, has_key=True),
    Kind(10, DETECT, 2, hangs_up=True),
)


class Record:
    """The record of all answers, as lines of JSON if there is a file. Thread-safe."""

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._file = path.open("w") if path else None
        self.sent: list[Sent] = []
        self.last_success_at = 0.0

    def add(self, sent: Sent) -> None:
        with self._lock:
            self.sent.append(sent)
            if sent.code == 0 and not sent.fault:
                # By the start of the request, so that an answer in transit does not count as a recovery.
                self.last_success_at = max(self.last_success_at, sent.sent_at)
            if self._file:
                self._file.write(json.dumps(asdict(sent)) + "\n")

    def outcomes(self) -> Counter[str]:
        """Count the requests by code, or by the reason why there was no answer."""
        with self._lock:
            return Counter(sent.fault or str(sent.code) for sent in self.sent)

    def close(self) -> None:
        if self._file:
            self._file.close()


class Load:
    """Clients that call `addresses` in turn until they are stopped."""

    def __init__(
        self,
        addresses: Sequence[str],
        key: str,
        secret: str,
        face: bytes,
        plain: bytes,
        record: Record,
        *,
        clients: int,
        seed: int,
        pause_s: float = 0.05,
    ) -> None:
        self._clients = [Client(addresses[number % len(addresses)], key, secret) for number in range(clients)]
        self._face, self._plain = inline(face), inline(plain)
        self._record = record
        self._pause_s = pause_s
        self._ended = threading.Event()
        self._hang_up_bytes = itertools.count(HANG_UP_BYTES)
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(seed * 1000 + number), client))
            for number, client in enumerate(self._clients)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Start no further call, and wait for the answers of those in progress."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def has_completed_calls_before(self, moment: float) -> bool:
        """Return whether no call that was sent before `moment` is still in progress."""
        return all(client.sent_at is None or client.sent_at >= moment for client in self._clients)

    def _run(self, rng: random.Random, client: Client) -> None:
        weights = [kind.weight for kind in KINDS]
        while not self._ended.is_set():
            (kind,) = rng.choices(KINDS, weights)
            picture = self._face if kind.has_face else self._plain
            data: list[object] = [[picture, picture]] if kind.path == COMPARE else [picture] * kind.pictures
            body = json.dumps({"data": data, "run": uuid4().hex}).encode()
            if kind.has_key:
                self._call_with_key(client, kind.path, body, rng)
            elif kind.hangs_up:
                body = body.ljust(next(self._hang_up_bytes))
                self._record.add(client.hang_up(kind.path, body, rng.choice([0.0, 0.0, 0.005, 0.02])))
            else:
                self._record.add(client.call(kind.path, body))
            self._ended.wait(self._pause_s * rng.random() * 2)
        client.close()

    def _call_with_key(self, client: Client, path: str, body: bytes, rng: random.Random) -> None:
        """Repeat with the same key until there is an answer, as a careful customer does."""
        key = uuid4().hex
        for _ in range(KEY_ATTEMPTS):
            sent = client.call(path, body, key=key)
            self._record.add(sent)
            if not sent.fault and sent.code not in RETRIED:
                break
            time.sleep(0.3 + rng.random())


class Client:
    """One persistent connection; each request has a new signature."""

    def __init__(self, address: str, key: str, secret: str) -> None:
        self._address = address
        self._key, self._secret = key, secret
        self._connection: http.client.HTTPConnection | None = None
        self.sent_at: float | None = None  # when the call in progress was sent

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def call(self, path: str, body: bytes, key: str = "") -> Sent:
        self.sent_at = time.time()
        try:
            return self._call(path, body, key, self.sent_at)
        finally:
            self.sent_at = None

    def _call(self, path: str, body: bytes, key: str, at: float) -> Sent:
        headers = self._headers(path, body)
        hashed = hashlib.sha256(key.encode()).hexdigest() if key else ""
        if key:
            headers["Idempotency-Key"] = key
        started = time.monotonic()
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(self._address, timeout=CLIENT_TIMEOUT_S)
            self._connection.request("POST", path, body, headers)
            reply = self._connection.getresponse()
            text = reply.read()
        except (OSError, http.client.HTTPException):
            self.close()
            took_s = time.monotonic() - started
            fault = NO_ANSWER if took_s < CLIENT_TIMEOUT_S else f"{NO_ANSWER} in {CLIENT_TIMEOUT_S:.0f} s"
            return Sent(at, took_s, key=hashed, fault=fault)
        took_s = time.monotonic() - started
        if reply.will_close:
            self.close()
        return _sent(reply, text, at, took_s, hashed)

    def hang_up(self, path: str, body: bytes, after_s: float) -> Sent:
        """Send a whole request and close the connection, unless an answer has arrived by then."""
        host, _, port = self._address.partition(":")
        at = time.time()
        lines = [f"POST {path} HTTP/1.1", f"Host: {self._address}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in self._headers(path, body).items()]
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=5) as sock:
            sock.sendall("\r\n".join([*lines, "", ""]).encode() + body)
            time.sleep(after_s)
            sock.setblocking(False)
            if sock.recv(1, socket.MSG_PEEK):
                return self._answer_on(sock, at)
        return Sent(at, time.time() - at, fault=HUNG_UP, body_bytes=len(body))

    def _answer_on(self, sock: socket.socket, at: float) -> Sent:
        """Read the answer that arrived before the client hung up: it counts."""
        sock.settimeout(CLIENT_TIMEOUT_S)
        reply = http.client.HTTPResponse(sock, method="POST")
        reply.begin()
        return _sent(reply, reply.read(), at, time.time() - at)

    def _headers(self, path: str, body: bytes) -> dict[str, str]:
        signed = sign(self._key, self._secret, "POST", path, "", int(time.time() * 1000), body)
        return {"Content-Type": "application/json", **signed}


def _sent(reply: http.client.HTTPResponse, text: bytes, at: float, took_s: float, key: str = "") -> Sent:
    try:
        content = json.loads(text)
    except ValueError:  # of a proxy
        return Sent(at, took_s, reply.status, key=key, fault=f"HTTP {reply.status}")
    return Sent(
        at,
        took_s,
        reply.status,
        content["code"],
        int(reply.headers.get("X-Billed-Units", 0)),
        reply.headers.get("X-Request-Id", ""),
        key,
        reply.headers.get("Idempotent-Replayed") == "true",
    )
