"""The whole signed service under ten times the load that it can serve: `bin/bench overload`.

Everything is real, as in `bin/bench service`. First the capacity is measured, with as many clients as keep
both cores busy, and the latency of a single client. Then calls arrive at `--times` the capacity over
persistent connections, independently of earlier answers. Reports the goodput (calls answered with code 0)
relative to the capacity, and the 99th percentile of those calls relative to that of a single client.

The client runs on the same cores, so it is light: one process and one thread with plain sockets, and requests
that were signed beforehand. The report includes its own CPU-ms per request.

Also reports the CPU-ms of a refusal, which hardly depends on other load of the machine: the CPU time of the
web processes, Valkey and PostgreSQL under overload, less that of the served calls at capacity.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import selectors
import socket
import statistics
import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import psutil

from bench.engine.speed import sample_pictures
from bench.load.service import DETECT, Site, cpu_s, inline, running_site, show
from embedded.paths import REPOSITORY
from faceapi.authentication.signing import sign

_number = itertools.count(time.time_ns())


def signed(site: Site, body: bytes, count: int) -> deque[bytes]:
    """Return `count` requests with the same body, each with its own signature."""
    found: deque[bytes] = deque()
    for _ in range(count):
        query = str(next(_number))
        headers = sign(site.app_key, site.secret, "POST", DETECT, query, int(time.time() * 1000), body)
        lines = [f"POST {DETECT}?{query} HTTP/1.1", f"Host: {site.address}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        found.append("\r\n".join([*lines, "", ""]).encode() + body)
    return found


@dataclass
class Connection:
    """A persistent connection with at most one request at a time."""

    sock: socket.socket
    out: memoryview = field(default_factory=lambda: memoryview(b""))
    answer: bytearray = field(default_factory=bytearray)
    sent_at: float = 0.0


@dataclass
class Outcome:
    """The answers by code, and the latencies of those with code 0."""

    codes: Counter[int] = field(default_factory=Counter)
    served_ms: list[float] = field(default_factory=list)
    refused_ms: list[float] = field(default_factory=list)
    seconds: float = 0.0
    client_cpu_s: float = 0.0
    not_sent: int = 0


class Load:
    """Sends requests over several connections in one thread."""

    def __init__(self, site: Site, connections: int) -> None:
        host, _, port = site.address.partition(":")
        self._address = (host, int(port))
        self._selector = selectors.DefaultSelector()
        self._idle: deque[Connection] = deque(self._connect() for _ in range(connections))

    def _connect(self) -> Connection:
        sock = socket.create_connection(self._address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        return Connection(sock)

    def close(self) -> None:
        for connection in self._idle:
            connection.sock.close()

    def run(self, requests: deque[bytes], seconds: float, *, rate: float | None = None) -> Outcome:
        """Send `rate` requests per second or, without a rate, keep one in flight on each connection."""
        outcome = Outcome()
        busy = 0
        started, cpu = time.perf_counter(), time.process_time()
        sent = 0
        while (now := time.perf_counter() - started) < seconds or busy:
            is_over = now >= seconds
            due = len(self._idle) if rate is None else int(now * rate) - sent
            while due > 0 and requests and not is_over:
                if not self._idle:  # no connection is free, so the request is dropped
                    outcome.not_sent += due
                    sent += due
                    break
                self._send(self._idle.popleft(), requests.popleft())
                sent, due, busy = sent + 1, due - 1, busy + 1
            for key, events in self._selector.select(0.002 if rate else 0.05):
                busy -= self._advance(key.data, events, outcome)
            if now > seconds + 60:
                raise SystemExit("calls are not answered")
        outcome.seconds = seconds
        outcome.client_cpu_s = time.process_time() - cpu
        return outcome

    def _send(self, connection: Connection, request: bytes) -> None:
        connection.sent_at = time.perf_counter()
        connection.out = memoryview(request)
        connection.answer = bytearray()
        with contextlib.suppress(BlockingIOError):
            connection.out = connection.out[connection.sock.send(connection.out) :]
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.out else 0)
        self._selector.register(connection.sock, events, connection)

    def _advance(self, connection: Connection, events: int, outcome: Outcome) -> int:
        """Send and receive what is possible; return 1 if the answer is complete."""
        if events & selectors.EVENT_WRITE:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                connection.out = connection.out[connection.sock.send(connection.out) :]
            if not connection.out:
                self._selector.modify(connection.sock, selectors.EVENT_READ, connection)
        if not events & selectors.EVENT_READ:
            return 0
        try:
            piece = connection.sock.recv(65536)
        except BlockingIOError:
            return 0
        except ConnectionError:
            piece = b""
        connection.answer += piece
        code, is_complete = parsed(connection.answer)
        if piece and not is_complete:
            return 0
        took_ms = (time.perf_counter() - connection.sent_at) * 1000
        outcome.codes[code] += 1
        (outcome.refused_ms if code else outcome.served_ms).append(took_ms)
        self._selector.unregister(connection.sock)
        if not piece or b"onnection: close" in connection.answer[:1000] or connection.out:
            connection.sock.close()
            connection = self._connect()
        self._idle.append(connection)
        return 1


def parsed(answer: bytearray) -> tuple[int, bool]:
    """Return the code of an answer and whether it is complete; the code is -1 until then."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return -1, False
    at = answer.lower().find(b"content-length:", 0, end)
    length = int(answer[at + 15 : answer.index(b"\r", at)]) if at >= 0 else 0
    if len(answer) < end + 4 + length:
        return -1, False
    return int(json.loads(answer[end + 4 :])["code"]), True


def percentile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


@contextlib.contextmanager
def load(site: Site, connections: int) -> Iterator[Load]:
    found = Load(site, connections)
    try:
        yield found
    finally:
        found.close()


def spent_s(site: Site) -> dict[str, float]:
    """Return the CPU seconds that the web, Valkey and PostgreSQL have spent so far."""
    below = psutil.Process().children(recursive=True)
    found = {"web": site.web_cpu_s(), "valkey": 0.0, "postgresql": 0.0}
    for process in below:
        with contextlib.suppress(psutil.NoSuchProcess, IndexError):
            program = process.cmdline()[0]
            if "valkey" in program:
                found["valkey"] += cpu_s(process)
            elif "postgres" in program:
                times = process.cpu_times()  # includes ended sessions, which the postmaster has reaped
                found["postgresql"] += cpu_s(process) + times.children_user + times.children_system
    return found


def difference(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    return {name: after[name] - before[name] for name in before}


def one_round(site: Site, body: bytes, seconds: float, times: float, clients: int) -> dict[str, Any]:
    """Measure a single client, then the capacity, then overload."""
    with load(site, 1) as alone:
        unloaded = alone.run(signed(site, body, 2000), seconds)
    before = spent_s(site)
    with load(site, clients) as closed:
        at_capacity = closed.run(signed(site, body, int(400 * seconds)), seconds)
    a_call_s = {
        name: spent / max(1, at_capacity.codes[0])
        for name, spent in difference(before, spent_s(site)).items()
    }
    capacity = at_capacity.codes[0] / seconds
    rate = capacity * times
    requests = signed(site, body, int(rate * (seconds + 2)))
    time.sleep(1)
    with load(site, 400) as flood:
        flood.run(requests, 2, rate=rate)  # warm-up of the adaptive limit
        before, worker = spent_s(site), cpu_s(psutil.Process(site.worker.pid))
        outcome = flood.run(requests, seconds, rate=rate)
        spent, worker = difference(before, spent_s(site)), cpu_s(psutil.Process(site.worker.pid)) - worker
    answered = outcome.codes.total()
    refused = max(1, answered - outcome.codes[0])
    return {
        "capacity_per_s": capacity,
        "asked_per_s": answered / seconds,
        "goodput": outcome.codes[0] / seconds / capacity,
        "p99_alone_ms": percentile(unloaded.served_ms, 0.99),
        "p50_alone_ms": percentile(unloaded.served_ms, 0.5),
        "p99_capacity_ms": percentile(at_capacity.served_ms, 0.99),
        "p50_ms": percentile(outcome.served_ms, 0.5),
        "p99_ms": percentile(outcome.served_ms, 0.99),
        "refused_p99_ms": percentile(outcome.refused_ms, 0.99),
        "codes": dict(outcome.codes),
        "not_sent": outcome.not_sent,
        "client_cpu_ms_per_request": outcome.client_cpu_s * 1000 / max(1, answered),
        "web_cores": spent["web"] / seconds,
        "worker_cores": worker / seconds,
        **{f"{name}_cpu_ms_a_call": a_call_s[name] * 1000 for name in spent},
        **{
            f"{name}_cpu_ms_a_refusal": (spent[name] - outcome.codes[0] * a_call_s[name]) * 1000 / refused
            for name in spent
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="bin/bench overload", description=__doc__.partition("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each of the three loads of a round")
    parser.add_argument(
        "--times", type=float, default=10.0, help="the request rate, as a multiple of the capacity"
    )
    parser.add_argument("--clients", type=int, default=16, help="concurrent calls at capacity")
    parser.add_argument("--megapixels", type=float, default=6.0, help="of the picture")
    arguments = parser.parse_args()
    body = json.dumps({"data": [inline(picture(arguments.megapixels))]}).encode()
    os.environ["WEB_CONNECTIONS_PER_ADDRESS"] = "1000"  # all clients have one address here
    with running_site() as site:
        rounds = [
            one_round(site, body, arguments.seconds, arguments.times, arguments.clients)
            for _ in range(arguments.rounds)
        ]
    for row in rounds:
        print(json.dumps({name: rounded(value) for name, value in row.items()}), flush=True)
    show(
        {
            "load": f"{arguments.times:g} x capacity, one {len(body) / 1000:.0f} kB request a call",
            "capacity_per_s": round(statistics.median(row["capacity_per_s"] for row in rounds), 1),
            "goodput": round(statistics.median(row["goodput"] for row in rounds), 2),
            "target_goodput": 0.9,
            "p99_times": round(statistics.median(row["p99_ms"] / row["p99_alone_ms"] for row in rounds), 2),
            "target_p99_times": 3,
            **{
                name: round(statistics.median(row[name] for row in rounds), 2)
                for name in rounds[0]
                if name.endswith("_a_refusal")
            },
        }
    )
    return 0


def rounded(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value


def picture(megapixels: float) -> bytes:
    """Return a photograph enlarged to a number of megapixels: much work with few bytes."""
    sample = sample_pictures(REPOSITORY / "var" / "models")["250x250"]
    side = int((megapixels * 1e6) ** 0.5)
    image = cv2.resize(cv2.imdecode(np.frombuffer(sample, np.uint8), cv2.IMREAD_COLOR), (side, side))
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 50])[1])


if __name__ == "__main__":
    sys.exit(main())
