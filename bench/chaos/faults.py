"""The faults of `bin/bench chaos`: each is injected, held for a while and healed, under load."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil
import psycopg2
import redis

from bench.chaos.database import HOT_ROWS
from bench.chaos.site import Site
from embedded.services.managed_process import Process, processes_in

Inject = Callable[[Site, random.Random], None]
THERE_TIMEOUT_S = 20.0
AWAY = (psycopg2.Error, redis.RedisError, psutil.Error, ProcessLookupError, TimeoutError)


@dataclass(frozen=True)
class Fault:
    """A kind of fault. `needs_disk`: it needs the site's own small file system."""

    name: str
    inject: Inject
    needs_disk: bool = False
    ends_web: bool = False  # by SIGKILL


def shortly(rng: random.Random) -> float:
    return rng.uniform(0.2, 3.0)


def long(rng: random.Random) -> float:
    return rng.uniform(2.0, 9.0)


# --- processes that end --------------------------------------------------------------


def end(number: signal.Signals, choose: Callable[[Site], Process]) -> Inject:
    """Send the signal to a process, which the supervisor then restarts."""

    def inject(site: Site, rng: random.Random) -> None:
        os.kill(choose(site).pid, number)

    return inject


def web_children(site: Site) -> list[psutil.Process]:
    """Return the web master's children; wait for them if the last fault has not healed yet."""
    site.wait(THERE_TIMEOUT_S, until=lambda: bool(site.children(site.web)))
    return site.children(site.web)


def backends(site: Site) -> list[int]:
    site.wait(THERE_TIMEOUT_S, until=lambda: bool(site.backends()))
    return site.backends()


def kill_web_child(site: Site, rng: random.Random) -> None:
    rng.choice(web_children(site)).kill()


def kill_backend(site: Site, rng: random.Random) -> None:
    """Kill a backend; PostgreSQL then ends all sessions and recovers, as after a crash."""
    os.kill(rng.choice(backends(site)), signal.SIGKILL)


def terminate_backends(site: Site, rng: random.Random) -> None:
    for pid in backends(site):
        site.ask("SELECT pg_terminate_backend(%s)", pid)


def postgres_away(site: Site, rng: random.Random) -> None:
    """Keep PostgreSQL down for longer than all attempts to settle take, as in a failover."""
    number = rng.choice([signal.SIGINT, signal.SIGQUIT, signal.SIGKILL])
    os.kill(site.postgres.process.pid, number)
    site.postgres.process.stop()
    rest(rng.uniform(8.0, 14.0))


def postgres_dies_at_commit(site: Site, rng: random.Random) -> None:
    """Kill the server while commits are on disk but not yet acknowledged."""
    backends(site)
    site.hold_commits()
    with contextlib.suppress(TimeoutError):
        site.wait_for("SyncRep", timeout_s=10)
    os.killpg(site.postgres.process.pid, signal.SIGKILL)
    site.postgres.process.stop()
    site.forget_held_commits()
    rest(rng.choice([0.5, 2.0, 12.0]))


def rest(seconds: float) -> None:
    """Wait without a supervisor."""
    time.sleep(seconds)


# --- processes that are stopped ------------------------------------------------------


def freeze(choose: Callable[[Site, random.Random], Iterable[int]]) -> Inject:
    """Send SIGSTOP: the process keeps its connections and locks, but does not respond."""

    def inject(site: Site, rng: random.Random) -> None:
        pids = list(choose(site, rng))
        try:
            for pid in pids:
                signal_if_there(pid, signal.SIGSTOP)
            site.wait(long(rng))
        finally:
            for pid in pids:
                signal_if_there(pid, signal.SIGCONT)

    return inject


def signal_if_there(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def a_web_child(site: Site, rng: random.Random) -> list[int]:
    return [rng.choice(web_children(site)).pid]


def the_worker(site: Site, rng: random.Random) -> list[int]:
    return [site.worker.pid, *(child.pid for child in site.children(site.worker))]


def a_backend(site: Site, rng: random.Random) -> list[int]:
    return [rng.choice(backends(site))]


def all_of_postgres(site: Site, rng: random.Random) -> list[int]:
    return processes_in(site.postgres.data)


# --- connections, locks, disk and memory ---------------------------------------------


def cut_connections(site: Site, rng: random.Random) -> None:
    site.proxy.cut()
    site.wait(shortly(rng))
    site.proxy.release()


def cut_at_commit(site: Site, rng: random.Random) -> None:
    """Cut connections while their commits wait; the server's side of them continues."""
    backends(site)
    with site.commits_that_wait():
        with contextlib.suppress(TimeoutError):
            site.wait_for("SyncRep", timeout_s=10)
        site.proxy.cut()
        site.wait(shortly(rng))
    site.proxy.release()


def lock(sql: str) -> Inject:
    def inject(site: Site, rng: random.Random) -> None:
        with site.locked(sql):
            site.wait(long(rng))

    return inject


def fill_disk(site: Site, rng: random.Random) -> None:
    with site.full_disk():
        use_up_log(site, long(rng))


def use_up_log(site: Site, seconds: float) -> None:
    """Start new segments of the write-ahead log until the disk is full and PostgreSQL panics."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(psycopg2.Error):
            site.ask("SELECT pg_switch_wal()")
        site.wait(0.2)


def fill_disk_and_kill_web_child(site: Site, rng: random.Random) -> None:
    with site.full_disk():
        use_up_log(site, shortly(rng))
        rng.choice(web_children(site)).kill()
        site.wait(shortly(rng))


def fill_valkey(site: Site, rng: random.Random) -> None:
    with client(site) as valkey:
        before = valkey.config_get("maxmemory")["maxmemory"]
        valkey.config_set("maxmemory", 1)
        try:
            site.wait(long(rng))
        finally:
            valkey.config_set("maxmemory", before)


def flush_valkey(site: Site, rng: random.Random) -> None:
    with client(site) as valkey:
        valkey.flushall()


def client(site: Site) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(site.valkey.socket), socket_timeout=10)


FAULTS = (
    Fault("web: kill -9 of the master", end(signal.SIGKILL, lambda site: site.web), ends_web=True),
    Fault("web: kill -9 of a child", kill_web_child, ends_web=True),
    Fault("web: restart", end(signal.SIGTERM, lambda site: site.web)),
    Fault("web: SIGSTOP of the master", freeze(lambda site, rng: [site.web.pid])),
    Fault("web: SIGSTOP of a child", freeze(a_web_child)),
    Fault("worker: kill -9", end(signal.SIGKILL, lambda site: site.worker)),
    Fault("worker: restart", end(signal.SIGTERM, lambda site: site.worker)),
    Fault("worker: SIGSTOP", freeze(the_worker)),
    Fault("scheduled: kill -9", end(signal.SIGKILL, lambda site: site.scheduled)),
    Fault("beat: kill -9", end(signal.SIGKILL, lambda site: site.beat)),
    Fault("beat: SIGSTOP", freeze(lambda site, rng: [site.beat.pid])),
    Fault("PostgreSQL: kill -9 of the postmaster", end(signal.SIGKILL, lambda site: site.postgres.process)),
    Fault("PostgreSQL: kill -9 of a backend", kill_backend),
    Fault("PostgreSQL: backends terminated", terminate_backends),
    Fault("PostgreSQL: fast restart", end(signal.SIGINT, lambda site: site.postgres.process)),
    Fault("PostgreSQL: immediate restart", end(signal.SIGQUIT, lambda site: site.postgres.process)),
    Fault("PostgreSQL: down for 8 to 14 s", postgres_away),
    Fault("PostgreSQL: killed between commit and reply", postgres_dies_at_commit),
    Fault("PostgreSQL: SIGSTOP of the postmaster", freeze(lambda site, rng: [site.postgres.process.pid])),
    Fault("PostgreSQL: SIGSTOP of a backend", freeze(a_backend)),
    Fault("PostgreSQL: SIGSTOP of all processes", freeze(all_of_postgres)),
    Fault("PostgreSQL: connections cut", cut_connections),
    Fault("PostgreSQL: connections cut at COMMIT", cut_at_commit),
    Fault("locks: another session holds the hour's roll-up", lock(HOT_ROWS)),
    Fault("locks: another session holds the App's periods", lock("SELECT 1 FROM billing_period FOR UPDATE")),
    Fault("locks: another session holds the debits", lock("LOCK TABLE billing_debit IN EXCLUSIVE MODE")),
    Fault("disk full", fill_disk, needs_disk=True),
    Fault(
        "disk full, and kill -9 of a web child", fill_disk_and_kill_web_child, needs_disk=True, ends_web=True
    ),
    Fault("Valkey: kill -9", end(signal.SIGKILL, lambda site: site.valkey.process)),
    Fault("Valkey: SIGSTOP", freeze(lambda site, rng: [site.valkey.process.pid])),
    Fault("Valkey: full", fill_valkey),
    Fault("Valkey: FLUSHALL", flush_valkey),
)
