"""The whole signed service compared with the bare engine on the same pictures: `bin/bench service`.

Everything is real: PostgreSQL with fsync, Valkey, the worker and gunicorn as started by bin/start, signed
HTTP calls. The bare loop has one thread per core and the same models. Both alternate, and throughputs are
compared within a round; reports the median of the rounds, with the web processes' CPU-ms per call.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bench.engine import peers
from bench.engine.speed import sample_pictures
from bench.ports import free_port
from embedded.environment import KEYS, secret_values
from embedded.paths import REPOSITORY, Paths
from embedded.services.managed_process import Process
from embedded.services.pair import Services
from embedded.site import web_process, worker_process
from faceapi.authentication.signing import sign
from inference.pipeline.engine import Engine

CORES = os.cpu_count() or 1
DETECT = "/api/v1/face_detect.json"


@dataclass(frozen=True)
class Target:
    """A load, and the required throughput: at least `ratio` of the bare loop's."""

    name: str
    size: str
    images: int
    clients: int
    ratio: float


TARGETS = (
    Target("8 images of 1 MP a request", "1 MP", 8, 4, 0.90),
    Target("one 1 MP image a request, 16 clients", "1 MP", 1, 16, 0.65),
    Target("one 12 MP image a request", "12 MP", 1, 4, 0.70),
)


@dataclass
class Site:
    """The running product: its address, the keys of a customer, and its processes."""

    address: str
    app_key: str
    secret: str
    web: Process
    worker: Process
    services: Path
    environment: dict[str, str]

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.address, timeout=300)

    def web_cpu_s(self) -> float:
        return sum(map(cpu_s, [psutil.Process(self.web.pid), *psutil.Process(self.web.pid).children()]))


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextlib.contextmanager
def running_site() -> Iterator[Site]:
    """Run the product with its own services and the demo customer's keys."""
    folder = Path(tempfile.mkdtemp(prefix="facecloud-bench-", dir=REPOSITORY / "var"))
    paths = Paths(folder)
    paths.make()
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        addresses = stack.enter_context(Services.of(paths).running())
        environment = {
            **os.environ,
            **addresses,
            **secret_values(paths.secrets, KEYS),
            "FACECLOUD_VAR_DIR": str(folder),
            "MODELS_DIR": str(REPOSITORY / "var" / "models"),
            "DJANGO_SETTINGS_MODULE": "facecloud.settings",
        }
        port = free_port()
        prepare = [sys.executable, "-m", "embedded.prepare", f"http://127.0.0.1:{port}"]
        subprocess.run(prepare, env=environment, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
        demo = dict(line.split("=", 1) for line in paths.demo.read_text().splitlines() if "=" in line)
        worker = worker_process(environment, logs=paths.logs)
        web = web_process(environment, host="127.0.0.1", port=port, logs=paths.logs)
        for process in (worker, web):
            process.start()
            stack.callback(process.stop)
        keys = (demo["FACECLOUD_APP_KEY"].strip("'\""), demo["FACECLOUD_SECRET_KEY"].strip("'\""))
        site = Site(f"127.0.0.1:{port}", *keys, web, worker, folder, environment)
        wait_until_ready(site)
        yield site


def wait_until_ready(site: Site) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            connection = site.connect()
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.2)
    raise SystemExit(f"the site is not ready; its logs are in {site.services}")


# --- the two sides ---------------------------------------------------------------


def inline(picture: bytes) -> str:
    return "data:application/octet-stream;base64," + base64.b64encode(picture).decode()


class Caller:
    """A client with its own connection; each body is different, so no signature is used twice."""

    def __init__(self, site: Site, pictures: Sequence[bytes]) -> None:
        self._site = site
        self._body = json.dumps({"data": [inline(picture) for picture in pictures]}).encode()
        self._connection = site.connect()
        self._number = time.time_ns()

    def __call__(self) -> None:
        self._number += 1
        path = f"{DETECT}?{self._number}"
        query = str(self._number)
        now_ms = int(time.time() * 1000)
        headers = sign(self._site.app_key, self._site.secret, "POST", DETECT, query, now_ms, self._body)
        self._connection.request("POST", path, self._body, headers)
        answer = json.loads(self._connection.getresponse().read())
        if answer["code"] != 0:
            raise SystemExit(f"the service answered {answer}")


def rate(works: Sequence[Callable[[], object]], seconds: float) -> tuple[float, int]:
    """Repeat all `works` concurrently for some seconds; return calls per second and the number of calls."""
    end = time.perf_counter() + seconds

    def repeat(work: Callable[[], object]) -> int:
        done = 0
        while time.perf_counter() < end:
            work()
            done += 1
        return done

    started = time.perf_counter()
    with ThreadPoolExecutor(len(works)) as pool:
        done = sum(pool.map(repeat, works))
    return done / (time.perf_counter() - started), done


def throughput(
    site: Site, engine: Engine, target: Target, picture: bytes, rounds: int, seconds: float
) -> dict[str, Any]:
    """Measure images per second of both sides in alternation, their ratio, and the web CPU-ms per call."""
    callers = [Caller(site, [picture] * target.images) for _ in range(target.clients)]
    bare = [lambda: engine.detect(picture)] * CORES
    rate(callers, 1)
    rate(bare, 1)
    ratios, ours, theirs, web_ms = [], [], [], []
    for _ in range(rounds):
        bare_rate, _done = rate(bare, seconds)
        before = site.web_cpu_s()
        calls_rate, calls = rate(callers, seconds)
        web_ms.append((site.web_cpu_s() - before) * 1000 / calls)
        ours.append(calls_rate * target.images)
        theirs.append(bare_rate)
        ratios.append(ours[-1] / theirs[-1])
    return {
        "load": target.name,
        "service_images_per_s": round(statistics.median(ours), 1),
        "bare_images_per_s": round(statistics.median(theirs), 1),
        "ratio": round(statistics.median(ratios), 3),
        "target": target.ratio,
        "web_cpu_ms_per_call": round(statistics.median(web_ms), 2),
    }


def latency(site: Site, engine: Engine, picture: bytes, rounds: int) -> dict[str, Any]:
    """Return the service's median latency minus the engine's, for one client and a small picture."""
    caller = Caller(site, [picture])

    def median_ms(work: Callable[[], object]) -> float:
        times = []
        for _ in range(30):
            started = time.perf_counter()
            work()
            times.append((time.perf_counter() - started) * 1000)
        return statistics.median(times)

    median_ms(caller)
    pairs = [(median_ms(lambda: engine.detect(picture)), median_ms(caller)) for _ in range(rounds)]
    bare, ours = (statistics.median(side) for side in zip(*pairs, strict=True))
    return {
        "load": "one client, one 250x250 image",
        "service_p50_ms": round(ours, 1),
        "bare_p50_ms": round(bare, 1),
        "above_ms": round(statistics.median(b - a for a, b in pairs), 1),
        "target_above_ms": 12,
    }


def against_peer(site: Site, pictures: dict[str, bytes], rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Compare the service with face_recognition's bare function, one process per core, on the same files."""
    peers.install()
    rows = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rivals = [stack.enter_context(peers.Peer()) for _ in range(CORES)]
        for size, picture in pictures.items():
            path = folder / f"{size}.jpg"
            path.write_bytes(picture)
            bare = [lambda rival=rival, path=path: rival.ask("detect", path) for rival in rivals]
            callers = [Caller(site, [picture]) for _ in range(8)]
            turns = [(rate(bare, seconds)[0], rate(callers, seconds)[0]) for _ in range(rounds)]
            rows.append(
                {
                    "load": f"face_recognition, {size}",
                    "service_images_per_s": round(statistics.median(ours for _, ours in turns), 1),
                    "peer_images_per_s": round(statistics.median(peer for peer, _ in turns), 1),
                    "times": round(statistics.median(ours / peer for peer, ours in turns), 2),
                    "target_times": 1,
                }
            )
    return rows


# --- the large body ----------------------------------------------------------------


def large_picture() -> bytes:
    """Return a JPEG of just under 10 MiB: noise of 13 MP."""
    import cv2

    noise = np.random.default_rng(1).integers(0, 255, (3000, 4400, 3), dtype=np.uint8)
    for quality in range(95, 5, -2):
        data = bytes(cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])
        if len(data) < 10 * 1024 * 1024:
            return data
    raise AssertionError("noise does not compress")


def memory_mb(site: Site) -> int:
    """Return the anonymous and shared memory of the web processes in MB."""
    children = psutil.Process(site.web.pid).children()
    return sum(int(child.memory_info().rss) for child in children) // 1_000_000


def large_body(site: Site, engine: Engine, single: bytes) -> dict[str, Any]:
    """Send 100 images of 10 MB in one request, and single calls at the same time."""
    picture = large_picture()
    item = b'"' + inline(picture).encode() + b'"'
    pieces = [b'{"data": [', *([item, b","] * 99), item, b"]}"]
    sha1 = hashlib.sha1(usedforsecurity=False)
    for piece in pieces:
        sha1.update(piece)
    started = time.process_time()
    for _ in range(4):
        engine.detect(picture)
    engine_s = (time.process_time() - started) * 100 / 4
    singles(site, single, lambda: False, 5)
    before_s = site.web_cpu_s()
    usual = singles(site, single, lambda: False, 30)
    single_cpu_s = (site.web_cpu_s() - before_s) / len(usual)
    below = psutil.Process().children(recursive=True)
    valkey = next(child for child in below if "valkey" in child.cmdline()[0])
    processes = {
        "web": [psutil.Process(site.web.pid), *psutil.Process(site.web.pid).children()],
        "worker": [psutil.Process(site.worker.pid)],
        "valkey": [valkey],
    }
    before = {name: sum(map(cpu_s, found)) for name, found in processes.items()}
    memory = peak = memory_mb(site)
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, memory_mb(site))
            time.sleep(0.05)

    with ThreadPoolExecutor(2) as pool:
        pool.submit(watch)
        beside = pool.submit(singles, site, single, done.is_set, 10_000)
        started = time.perf_counter()
        try:
            send_large(site, pieces, sha1.hexdigest())
        finally:
            wall_s = time.perf_counter() - started
            done.set()
        beside_ms = beside.result()
    spent = {name: sum(map(cpu_s, found)) - before[name] for name, found in processes.items()}
    return {
        "load": f"100 x {len(picture) / 1e6:.1f} MB in one request",
        "wall_s": round(wall_s, 1),
        "web_growth_mb": peak - memory,
        "target_growth_mb": 100,
        # without the memory that the concurrent single calls need
        "web_cpu_s": round(spent["web"] - single_cpu_s * len(beside_ms), 2),
        "target_cpu_s": 4,
        "valkey_cpu_s": round(spent["valkey"], 2),
        "worker_cpu_s": round(spent["worker"], 1),
        "engine_cpu_s": round(engine_s, 1),
        "single_p50_ms": round(statistics.median(usual), 1),
        "single_beside_p50_ms": round(statistics.median(beside_ms), 1),
        "times": round(statistics.median(beside_ms) / statistics.median(usual), 2),
        "target_times": 3,
    }


def singles(site: Site, picture: bytes, ended: Callable[[], bool], most: int) -> list[float]:
    """Return the latencies in milliseconds of single calls, one after the other with a pause."""
    caller, times = Caller(site, [picture]), []
    while len(times) < most and (not ended() or not times):
        started = time.perf_counter()
        caller()
        times.append((time.perf_counter() - started) * 1000)
        time.sleep(0.05)
    return times


def send_large(site: Site, pieces: Sequence[bytes], sha1: str) -> None:
    from faceapi.authentication.signing import canonical, signature

    now = str(int(time.time() * 1000))
    given = signature(site.secret, canonical("POST", DETECT, "", now, sha1))
    connection = http.client.HTTPConnection(site.address, timeout=600)
    headers = {"Authorization": f"CTYUN {site.app_key}:{given}", "X-CTYUN-DT": now}
    connection.request("POST", DETECT, iter(pieces), headers | {"Content-Length": str(sum(map(len, pieces)))})
    answer = json.loads(connection.getresponse().read())
    if answer["code"] != 0 or len(answer["result"]) != 100:
        raise SystemExit(f"the service answered {str(answer)[:300]}")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="bin/bench service", description=__doc__.partition("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each side of a round")
    parser.add_argument("--only", choices=["throughput", "latency", "large", "peer"], action="append")
    arguments = parser.parse_args()
    wanted = arguments.only or ["throughput", "latency", "large", "peer"]
    models = REPOSITORY / "var" / "models"
    pictures = sample_pictures(models)
    small = pictures["250x250"]
    engine = Engine(models)
    engine.warm_up()
    with running_site() as site:
        if "throughput" in wanted:
            for target in TARGETS:
                show(
                    throughput(
                        site, engine, target, pictures[target.size], arguments.rounds, arguments.seconds
                    )
                )
        if "latency" in wanted:
            show(latency(site, engine, small, arguments.rounds))
        if "large" in wanted:
            show(large_body(site, engine, small))
        if "peer" in wanted:
            for row in against_peer(site, pictures, arguments.rounds, arguments.seconds):
                show(row)
    return 0


def show(row: dict[str, Any]) -> None:
    print(json.dumps(row, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    sys.exit(main())
