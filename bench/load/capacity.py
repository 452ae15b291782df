"""The cost of a call in each process, and the capacity of an installation: `bin/bench capacity`.

Runs the product, measures CPU, bytes, commits and commands of a call, and predicts by simulation the
throughput of 1, 2 and 3 workers with 1 and 2 web processes; then runs each of these and compares. `--predict`
only simulates larger installations, with the costs of docs/operators/scaling.md.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import psutil

from bench.engine.speed import sample_pictures
from bench.load import service
from bench.load.service import Caller, Site, cpu_s, rate
from bench.ports import free_port
from embedded.paths import REPOSITORY
from embedded.services.managed_process import Process
from embedded.site import web_process, worker_process

CLIENTS = 8


@dataclass(frozen=True)
class Cost:
    """CPU-ms of a call of one picture in each process.

    `request_ms` is the work of the web process before inference, `reply_ms` that after it.
    """

    client_ms: float
    request_ms: float
    worker_ms: float
    reply_ms: float
    postgres_ms: float
    valkey_ms: float

    @property
    def total_ms(self) -> float:
        return sum(vars(self).values())


# One picture of 1 MP by face_detect, on the two cores of docs/benchmarks.md when they were quiet.
QUIET = Cost(client_ms=0.6, request_ms=3.0, worker_ms=11.9, reply_ms=1.7, postgres_ms=2.0, valkey_ms=0.45)


@dataclass(frozen=True)
class Installation:
    """`cores` is the number of cores that all processes share or, if `apart`, of each machine."""

    workers: int
    slots: int  # of a worker
    webs: int
    cores: float
    clients: int = CLIENTS


def simulate(cost: Cost, installation: Installation, calls: int = 0) -> float:
    """Return the calls per second of `clients`, each with one call at a time.

    A call uses one resource after the other: its client's thread, a web process (which runs one thread at a
    time), a slot of a worker, the web process again, PostgreSQL. Those that are busy share the cores evenly.
    """
    stages = [
        ("client", cost.client_ms),
        ("web", cost.request_ms + cost.valkey_ms / 2),
        ("slot", cost.worker_ms),
        ("web", cost.reply_ms + cost.valkey_ms / 2),
        ("postgres", cost.postgres_ms),
    ]
    free = {
        "client": installation.clients,
        "web": installation.webs,
        "slot": installation.workers * installation.slots,
        "postgres": installation.clients,
    }
    waiting: dict[str, deque[int]] = {name: deque() for name in free}
    working: list[tuple[float, int]] = []  # (total work per call at which it ends, its client)
    stage_of = [0] * installation.clients
    done_ms, now_ms, finished = 0.0, 0.0, 0  # done_ms: work of each busy call since the start

    def begin(client: int) -> None:
        name, work_ms = stages[stage_of[client]]
        if free[name]:
            free[name] -= 1
            heapq.heappush(working, (done_ms + work_ms, client))
        else:
            waiting[name].append(client)

    for client in range(installation.clients):
        begin(client)
    while finished < (calls or 40 * installation.clients):
        speed = min(1.0, installation.cores / len(working))
        ends_at, client = heapq.heappop(working)
        now_ms += (ends_at - done_ms) / speed
        done_ms = ends_at
        name = stages[stage_of[client]][0]
        free[name] += 1
        if waiting[name]:
            begin(waiting[name].popleft())
        stage_of[client] = (stage_of[client] + 1) % len(stages)
        finished += stage_of[client] == 0
        begin(client)
    return finished * 1000 / now_ms


# --- the run ---------------------------------------------------------------------


@dataclass(frozen=True)
class Counters:
    """CPU-seconds by process, and the counters of PostgreSQL and Valkey."""

    cpu_s: dict[str, float]
    commits: int
    wal_bytes: int
    commands: int
    valkey_in_bytes: int
    valkey_out_bytes: int


def family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def count(site: Site, webs: Sequence[Process], workers: Sequence[Process]) -> Counters:
    import psycopg2
    import redis

    below = psutil.Process().children(recursive=True)

    def named(word: str) -> list[psutil.Process]:
        found = []
        for process in below:
            with contextlib.suppress(psutil.Error):
                if word in process.name():
                    found.append(process)
        return found

    parts = {
        "web": [one for web in webs for one in family(web.pid)],
        "worker": [one for worker in workers for one in family(worker.pid)],
        "postgres": named("postgres"),
        "valkey": named("valkey"),
        "client": [psutil.Process()],
    }
    spent = {name: sum(cpu_of(process) for process in processes) for name, processes in parts.items()}
    address = urlsplit(site.environment["DATABASE_URL"])  # postgres://user@/%2Fsockets/name
    sockets, _, name = address.path.removeprefix("/").rpartition("/")
    session = psycopg2.connect(
        host=unquote(sockets) or address.hostname,
        port=address.port,
        user=address.username,
        password=address.password,
        dbname=name,
    )
    with contextlib.closing(session) as connection:
        cursor = connection.cursor()
        cursor.execute(
            "SELECT sum(xact_commit)::bigint, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"
            " FROM pg_stat_database"
        )
        commits, wal_bytes = cursor.fetchone() or (0, 0)
    info = redis.Redis.from_url(site.environment["REDIS_URL"]).info("stats")
    return Counters(
        spent,
        int(commits),
        int(wal_bytes),
        int(info["total_commands_processed"]),
        int(info["total_net_input_bytes"]),
        int(info["total_net_output_bytes"]),
    )


def cpu_of(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.Error):
        return cpu_s(process)
    return 0.0


@dataclass(frozen=True)
class Measured:
    calls_per_s: float
    cores: float  # used by the product and its clients
    per_call: dict[str, float]


def measure(
    site: Site, webs: Sequence[Process], workers: Sequence[Process], picture: bytes, seconds: float
) -> Measured:
    callers = [Caller(site, [picture]) for _ in range(CLIENTS)]
    rate(callers, 1)
    before, started = count(site, webs, workers), time.perf_counter()
    calls_per_s, calls = rate(callers, seconds)
    took_s = time.perf_counter() - started
    after = count(site, webs, workers)
    cpu = {name: after.cpu_s[name] - before.cpu_s[name] for name in after.cpu_s}
    per_call = {f"{name}_cpu_ms": round(spent * 1000 / calls, 2) for name, spent in cpu.items()}
    for name in ("commits", "wal_bytes", "commands", "valkey_in_bytes", "valkey_out_bytes"):
        per_call[name] = round((getattr(after, name) - getattr(before, name)) / calls, 1)
    return Measured(round(calls_per_s, 1), sum(cpu.values()) / took_s, per_call)


@contextlib.contextmanager
def running(site: Site, webs: int, workers: int) -> Iterator[tuple[list[Process], list[Process]]]:
    """Run the given numbers of web processes and one-slot workers instead of the site's own."""
    environment = {**site.environment, "WEB_WORKERS": str(webs), "WORKER_CONCURRENCY": "1"}
    logs = site.services / "log"
    port = free_port()
    with contextlib.ExitStack() as stack:
        started = []
        for number in range(workers):
            folder = logs / f"worker-{number}"
            started.append(worker_process(environment, logs=folder))
        web = web_process(environment, host="127.0.0.1", port=port, logs=logs)
        for process in (*started, web):
            process.start()
            stack.callback(process.stop)
        site.address = f"127.0.0.1:{port}"
        service.wait_until_ready(site)
        deadline = time.monotonic() + 120
        while warm(site) < workers and time.monotonic() < deadline:
            time.sleep(0.2)
        yield [web], started


def warm(site: Site) -> int:
    import redis

    from inference.worker import exchange

    client = redis.Redis.from_url(site.environment["REDIS_URL"])
    seconds, microseconds = client.time()
    return len(exchange.workers(client, now_s=seconds + microseconds / 1e6))


def cost_of(per_call: dict[str, float]) -> Cost:
    """Return the measured cost; two thirds of the web's work are before inference."""
    web_ms = per_call["web_cpu_ms"]
    return Cost(
        per_call["client_cpu_ms"],
        web_ms * 2 / 3,
        per_call["worker_cpu_ms"],
        web_ms / 3,
        per_call["postgres_cpu_ms"],
        per_call["valkey_cpu_ms"],
    )


def check(seconds: float) -> None:
    """Measure one worker and one web process, predict the other combinations, run them and print both."""
    picture = sample_pictures(REPOSITORY / "var" / "models")["1 MP"]
    cost: Cost | None = None
    with service.running_site() as site:
        for process in (site.web, site.worker):
            process.stop()
        for webs in (1, 2):
            for workers in (1, 2, 3):
                with running(site, webs, workers) as (web, started):
                    found = measure(site, web, started, picture, seconds)
                if cost is None:
                    cost = cost_of(found.per_call)
                    print(json.dumps({"cost of a call": found.per_call, "picture_bytes": len(picture)}))
                cores = min(float(os.cpu_count() or 1), max(found.cores, 0.1))
                predicted = simulate(cost, Installation(workers, 1, webs, cores))
                row = {
                    "webs": webs,
                    "workers": workers,
                    "cores": round(found.cores, 2),
                    "predicted_per_s": round(predicted, 1),
                    "measured_per_s": found.calls_per_s,
                    "ratio": round(predicted / found.calls_per_s, 2),
                }
                print(json.dumps(row), flush=True)


def predict() -> None:
    """Print the capacity of installations on separate machines, with the costs of a quiet machine."""
    for webs, workers, cores in ((1, 1, 2), (2, 2, 4), (4, 4, 8), (8, 8, 16), (16, 16, 32), (64, 64, 128)):
        slots = max(1, cores // workers)
        found = simulate(QUIET, Installation(workers, slots, webs, float(cores), clients=cores * 8))
        print(json.dumps({"cores": cores, "webs": webs, "workers": workers, "calls_per_s": round(found)}))


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="bin/bench capacity", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--seconds", type=float, default=6.0, help="of each run")
    parser.add_argument("--predict", action="store_true", help="only simulate larger installations")
    arguments = parser.parse_args()
    if arguments.predict:
        predict()
    else:
        check(arguments.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
