"""Searches over HTTP at several gallery sizes, compared with face_detect of the same picture."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bench.gallery.identification import MODELS_DIR
from bench.gallery.population import Population


def speed(sizes: Sequence[int], seconds: float, indexed: Sequence[int], population: Population) -> None:
    """Measure searches over HTTP against face_detect, enrolments per second, and the index."""
    from bench.engine.speed import sample_pictures
    from bench.load.service import running_site

    with running_site() as site, tempfile.TemporaryDirectory() as folder:
        people = Path(folder) / "population.npz"
        population.save(people)
        picture = sample_pictures(MODELS_DIR)["1 MP"]
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        rate = _Caller(site).enrolments_a_second(picture, seconds)
        print(f"enrolments: {rate:.1f} a second, one at a time")
        for size in sizes:
            _prepare(site, "fill", size, people)
            _compare(site, picture, size, seconds, "by exact scan")
            if size in indexed:
                _prepare(site, "index", size, people)
                _compare(site, picture, size, seconds, "through the index")


def _prepare(site: Any, step: str, size: int, people: Path) -> None:
    """Run a step of synthetic_groups in the environment of the services, and print its measurements."""
    command = [sys.executable, "-m", "bench.gallery.synthetic_groups", step, str(size), str(people)]
    done = subprocess.run(command, env=site.environment, check=True, stdout=subprocess.PIPE, text=True)
    print(done.stdout.rstrip(), flush=True)


def _compare(site: Any, picture: bytes, size: int, seconds: float, how: str) -> None:
    """Print the cost of face_detect, of a search of few faces, and of one of `size` faces, by turns."""
    caller = _Caller(site)  # connections that were idle for long are closed
    detect = caller.detecting(picture)
    search, few = (caller.searching(picture, group) for group in (f"n{size}", "enrolled"))
    _ms(search)
    rounds = _rounds([detect, few, search], seconds)
    rows = np.array([[_cost(work) for work in (detect, few, search)] for _ in range(rounds)])
    print(f"{size} faces {how}, {rounds} alternating rounds, load average {os.getloadavg()[0]:.1f}:")
    for column, name in enumerate(("face_detect", "search of few faces", "search")):
        took_ms, cpu_ms = rows[:, column, 0], rows[:, column, 1]
        above_ms, above_cpu_ms = np.median(rows[:, column] - rows[:, 0], axis=0)
        print(
            f"  {name}: p50 {np.median(took_ms):.1f} ms, p95 {np.quantile(took_ms, 0.95):.1f}; "
            f"{np.median(cpu_ms):.0f} CPU-ms; above face_detect {above_ms:.1f} ms, "
            f"{above_cpu_ms:.0f} CPU-ms",
            flush=True,
        )


def _cost(work: Callable[[], object]) -> tuple[float, float]:
    """Return the wall-clock milliseconds of a call, and the CPU-ms of all processes of the site."""
    before = _cpu_s()
    took_ms = _ms(work)
    return took_ms, (_cpu_s() - before) * 1000


def _cpu_s() -> float:
    spent = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            spent += times.user + times.system
    return spent


def _rounds(works: Sequence[Callable[[], object]], seconds: float) -> int:
    return max(20, int(seconds * 1000 / sum(map(_ms, works))))


def _ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


class _Caller:
    """Signed calls on one connection."""

    def __init__(self, site: Any) -> None:
        self._site = site
        self._connection: http.client.HTTPConnection = site.connect()
        self._number = time.time_ns()

    def call(self, api: str, body: dict[str, Any]) -> dict[str, Any]:
        from faceapi.authentication.signing import sign

        self._number += 1
        path, query, content = f"/api/v1/{api}.json", str(self._number), json.dumps(body).encode()
        key, secret = self._site.app_key, self._site.secret
        headers = sign(key, secret, "POST", path, query, int(time.time() * 1000), content)
        self._connection.request("POST", f"{path}?{query}", content, headers)
        answer: dict[str, Any] = json.loads(self._connection.getresponse().read())
        if answer["code"] != 0:
            raise SystemExit(f"the service answered {answer}")
        return answer

    def detecting(self, picture: bytes) -> Callable[[], object]:
        from bench.load.service import inline

        body = {"data": [inline(picture)]}
        return lambda: self.call("face_detect", body)

    def searching(self, picture: bytes, group: str) -> Callable[[], object]:
        from bench.load.service import inline

        body = {"data": [inline(picture)], "options": {"groups": [group]}}
        return lambda: self.call("face_search", body)

    def enrolments_a_second(self, picture: bytes, seconds: float) -> float:
        from bench.load.service import inline

        self.call("face_group_add", {"data": [{"group_id": "enrolled"}]})
        image, consent = inline(picture), {"reference": "bench"}
        done, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            entry = {"group_id": "enrolled", "person_id": f"p{done}", "image": image, "consent": consent}
            self.call("face_person_add", {"data": [entry]})
            done += 1
        return done / (time.perf_counter() - started)
