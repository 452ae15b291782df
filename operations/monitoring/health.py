"""The current state of the product, measured in Valkey and PostgreSQL; findings.py evaluates it."""

import contextlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from django.conf import settings
from django.db import connection
from django.db.models import Count, DateTimeField, DurationField, ExpressionWrapper, F, Q, Sum

from accounts import regions
from accounts.models import App, Region
from billing.books import reconcile
from billing.models import Debit, DebitState
from common import clock, mail_backends, valkey
from common.celery import queues, schedule
from faceapi import errors
from faceapi.models import Call
from faceapi.usage import unattributed
from gallery import groups, people
from inference.worker import exchange

RECENT = timedelta(minutes=1)
LONGEST_CALL = timedelta(minutes=10)  # from arrival to end; slower uploads are ignored
DEATH_IS_RECENT = timedelta(minutes=10)
PROOF_IS_LATE_S = 26 * 3600  # reconcile runs once a day; FacecloudReconcileStopped has the same limit


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A live worker and its description (inference/worker/tasks.py)."""

    id: str
    slots: int
    age_s: float
    about: dict[str, Any]

    @property
    def queues(self) -> list[str]:
        return exchange.queues_of(self.about)

    @property
    def started_at(self) -> datetime | None:
        started = self.about.get("started_at_s")
        return datetime.fromtimestamp(started, UTC) if started else None

    @property
    def models(self) -> str:
        return ", ".join(self.about.get("models", {}))


@dataclass(slots=True)
class ValkeyState:
    """The state of Valkey; empty if it does not respond."""

    error: str = ""
    ping_ms: float = 0.0
    version: str = ""
    memory_bytes: int = 0
    memory_limit_bytes: int = 0
    clients: int = 0
    queued: dict[str, int] = field(default_factory=dict)  # chunks by inference queue
    queued_tasks: int = 0
    queued_mails: int = 0
    failed_mails: int = 0  # of the last hour
    started_at: datetime | None = None
    clock_offsets: dict[str, float] = field(default_factory=dict)
    workers: list[WorkerState] = field(default_factory=list)
    schedule_seen_at: datetime | None = None
    deaths: list[exchange.Death] = field(default_factory=list)  # of the last day, oldest first
    death_count: int = 0

    @property
    def is_up(self) -> bool:
        return not self.error

    @property
    def queued_chunks(self) -> int:
        return sum(self.queued.values())

    @property
    def wrong_clocks(self) -> dict[str, float]:
        """Return the hosts whose clock differs too much from Valkey's, with the difference in seconds."""
        return {host: off for host, off in self.clock_offsets.items() if abs(off) > clock.OFF_BY_S}

    @property
    def stuck_workers(self) -> list[WorkerState]:
        """Return the workers whose slots have all held the same chunks for WORKER_STUCK_S or longer."""
        return [one for one in self.workers if one.about.get("stuck_s", 0.0) >= settings.WORKER_STUCK_S]

    @property
    def slots(self) -> int:
        return sum(worker.slots for worker in self.workers)

    @property
    def versions(self) -> set[str]:
        return {worker.about.get("version", "") for worker in self.workers if worker.about}

    @property
    def model_sets(self) -> set[frozenset[tuple[str, str]]]:
        """Return the distinct sets of model names and hashes of the workers."""
        return {frozenset(worker.about.get("models", {}).items()) for worker in self.workers if worker.about}

    @property
    def memory_share(self) -> float:
        """Return the used share of maxmemory; 0 without a limit."""
        return self.memory_bytes / self.memory_limit_bytes if self.memory_limit_bytes else 0.0


@dataclass(slots=True)
class PostgresState:
    ping_ms: float = 0.0
    version: str = ""
    size_bytes: int = 0
    connections: int = 0
    connection_limit: int = 0
    longest_transaction_s: float = 0.0


@dataclass(slots=True)
class Traffic:
    """The calls that ended in the last minute, and those in progress."""

    calls: int = 0
    ok: int = 0
    images: int = 0
    overloaded: int = 0
    timed_out: int = 0
    broken: int = 0
    in_flight: int = 0
    held_too_long: int = 0

    @property
    def images_per_s(self) -> float:
        return self.images / RECENT.total_seconds()

    @property
    def calls_per_s(self) -> float:
        return self.calls / RECENT.total_seconds()

    @property
    def overloaded_share(self) -> float:
        """Return the share of calls that were refused for overload; 0 without calls."""
        return self.overloaded / self.calls if self.calls else 0.0


@dataclass(frozen=True, slots=True)
class Books:
    """The last result of reconcile. `age_s` counts from the installation until there is one."""

    proved_at: datetime | None = None
    checks: int = 0
    breaks: int = 0
    duration_ms: int = 0
    age_s: float = 0.0

    @property
    def is_late(self) -> bool:
        return self.age_s > PROOF_IS_LATE_S


@dataclass(frozen=True, slots=True)
class RegionState:
    """A region, the workers that take from its queue, and the chunks that wait in it."""

    region: Region
    workers: list[WorkerState]
    queued_chunks: int

    @property
    def slots(self) -> int:
        return sum(worker.slots for worker in self.workers)


@dataclass(frozen=True, slots=True)
class State:
    at: datetime
    valkey: ValkeyState
    postgres: PostgresState
    traffic: Traffic
    queue_limit: int
    apps: int = 0
    books: Books = field(default_factory=Books)
    persons: int = 0  # in all face galleries
    faces: int = 0
    faces_of_closed_accounts: int = 0
    all_regions: list[Region] = field(default_factory=list)

    @property
    def regions(self) -> list[RegionState]:
        broker = self.valkey
        return [
            RegionState(
                region,
                [worker for worker in broker.workers if region.queue in worker.queues],
                broker.queued.get(region.queue, 0),
            )
            for region in self.all_regions
        ]

    @property
    def has_several_queues(self) -> bool:
        return any(region.queue != exchange.QUEUE for region in self.all_regions)

    @property
    def regions_without_worker(self) -> list[Region]:
        """Return the regions without a worker; empty if there is no worker at all (a separate finding)."""
        return [one.region for one in self.regions if not one.workers] if self.valkey.workers else []

    @property
    def recent_deaths(self) -> list[exchange.Death]:
        """Return the workers that died within DEATH_IS_RECENT, which may still affect calls."""
        since_s = (self.at - DEATH_IS_RECENT).timestamp()
        return [death for death in self.valkey.deaths if death.seen_at_s >= since_s]

    @property
    def queue_share(self) -> float:
        """Return the used share of the fullest queue's limit; each queue has its own limit."""
        return max(self.valkey.queued.values(), default=0) / self.queue_limit

    @property
    def is_schedule_late(self) -> bool:
        """Return whether the schedule has not run for too long, since its last run or the start of Valkey."""
        since = self.valkey.schedule_seen_at or self.valkey.started_at
        late = since is None or (self.at - since).total_seconds() > schedule.LATE_AFTER_S
        return self.valkey.is_up and late


def measure(at: datetime) -> State:
    """Return the current state; if Valkey does not respond, `valkey.error` is set."""
    all_regions = list(regions.in_use())
    broker = measure_valkey(at, queues_of_regions={region.queue for region in all_regions})
    return State(
        at=at,
        valkey=broker,
        postgres=measure_postgres(),
        traffic=measure_traffic(at, reads_valkey=broker.is_up),
        queue_limit=settings.QUEUE_MAX_CHUNKS,
        apps=App.objects.count(),
        books=measure_books(at),
        persons=people.stored_persons(),
        faces=people.stored_faces(),
        faces_of_closed_accounts=groups.faces_of_closed_accounts(),
        all_regions=all_regions,
    )


def measure_valkey(at: datetime, queues_of_regions: Iterable[str] = ()) -> ValkeyState:
    state = ValkeyState()
    try:
        client = valkey.client()
        started = time.perf_counter()
        client.ping()
        state.ping_ms = (time.perf_counter() - started) * 1000
        info = client.info()
        state.version = str(info.get("valkey_version") or info.get("redis_version", ""))
        state.memory_bytes = int(info["used_memory"])
        state.memory_limit_bytes = int(info.get("maxmemory", 0))
        state.clients = int(info["connected_clients"])
        state.queued = {queue: client.llen(queue) for queue in {exchange.QUEUE, *queues_of_regions}}
        state.queued_tasks = client.llen(queues.SCHEDULED)
        state.queued_mails = client.llen(queues.MAIL)
        now_s = clock.now_s(client)
        state.failed_mails = mail_backends.failures(client, now_s)
        state.clock_offsets = clock.offsets(client)
        state.deaths = exchange.deaths(client, now_s=now_s)
        state.death_count = exchange.death_count(client)
        alive = exchange.workers(client, now_s=now_s)
        descriptions = exchange.about(client, [worker.id for worker in alive])
        state.workers = [
            WorkerState(worker.id, worker.slots, max(0.0, now_s - worker.seen_at_s), about)
            for worker, about in zip(alive, descriptions, strict=True)
        ]
        state.started_at = at - timedelta(seconds=int(info["uptime_in_seconds"]))
        age_s = schedule.age_s()
        state.schedule_seen_at = None if age_s is None else at - timedelta(seconds=age_s)
    except (redis.RedisError, ValueError) as error:  # ValueError: a worker wrote invalid JSON
        state.error = type(error).__name__
    return state


def measure_postgres() -> PostgresState:
    """Measure PostgreSQL.

    The longest transaction is one of this role or of the tables' owner; of any role if the owner may read
    all statistics, as a superuser may.
    """
    with connection.cursor() as cursor:
        started = time.perf_counter()
        cursor.execute("SELECT 1")
        ping_ms = (time.perf_counter() - started) * 1000
        cursor.execute(
            """SELECT current_setting('server_version'), pg_database_size(current_database()),
                   count(*) FILTER (WHERE datname IS NOT NULL), current_setting('max_connections')::int,
                   greatest(operations_longest_transaction_s(),
                       extract(epoch FROM max(clock_timestamp() - xact_start)
                           FILTER (WHERE datname = current_database() AND pid <> pg_backend_pid()
                               AND backend_type = 'client backend' AND application_name <> 'pg_dump')))
               FROM pg_stat_activity"""
        )
        version, size, connections, limit, longest = cursor.fetchone()
    return PostgresState(ping_ms, version.split()[0], size, connections, limit, float(longest))


def measure_books(at: datetime) -> Books:
    run = reconcile.last_run()
    since = run.at if run else reconcile.installed_at()
    age_s = max(0.0, (at - since).total_seconds())
    return Books(run.at, run.checks, run.breaks, run.duration_ms, age_s) if run else Books(age_s=age_s)


def measure_traffic(at: datetime, *, reads_valkey: bool = True) -> Traffic:
    """Return the traffic of the last minute; without Valkey, only the refusals that have a row."""
    took = ExpressionWrapper(F("latency_ms") * timedelta(milliseconds=1), output_field=DurationField())
    ended = ExpressionWrapper(F("at") + took, output_field=DateTimeField())
    calls = Call.objects.filter(at__gt=at - RECENT - LONGEST_CALL, at__lte=at)
    counts = (
        calls.annotate(ended=ended)
        .filter(ended__gt=at - RECENT, ended__lte=at)
        .aggregate(
            calls=Count("pk"),
            ok=Count("pk", filter=Q(code=errors.OK)),
            images=Sum("images", filter=Q(code=errors.OK)),
            overloaded=Count("pk", filter=Q(code=errors.OVERLOADED)),
            timed_out=Count("pk", filter=Q(code=errors.NO_ANSWER)),
            broken=Count("pk", filter=Q(code__in=[errors.INTERNAL, errors.INCOMPLETE_RESULT])),
        )
    )
    held = Debit.objects.filter(state__in=[DebitState.HELD, DebitState.SETTLING]).aggregate(
        in_flight=Count("pk", filter=Q(state=DebitState.HELD, hold_expires_at__gt=at)),
        held_too_long=Count("pk", filter=Q(hold_expires_at__lte=at - timedelta(minutes=5))),
    )
    traffic = Traffic(**{name: value or 0 for name, value in {**counts, **held}.items()})
    if not reads_valkey:
        return traffic
    with contextlib.suppress(redis.RedisError):  # most refusals have no row
        unrecorded = unattributed.unrecorded((at - RECENT).timestamp(), at.timestamp())
        traffic.calls += unrecorded.total()
        traffic.overloaded += unrecorded[errors.OVERLOADED]
    return traffic
