"""How the product feels now: what is measured, and what an operator should know and do about it, in words.

`measure` asks Valkey and PostgreSQL; `findings` is a pure function of what they said.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from django.conf import settings
from django.db import connection
from django.db.models import Count, Q, Sum
from django.utils.translation import gettext as _

from accounts.models import App
from billing.models import Debit, DebitState
from faceapi import errors
from faceapi.models import Call
from facecloud import schedule, valkey
from inference import exchange

RECENT = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One living worker and what it says of itself (inference/tasks.py)."""

    id: str
    slots: int
    age_s: float
    about: dict[str, Any]

    @property
    def started_at(self) -> datetime | None:
        started = self.about.get("started_at_s")
        return datetime.fromtimestamp(started, UTC) if started else None

    @property
    def models(self) -> str:
        return ", ".join(self.about.get("models", {}))


@dataclass(slots=True)
class ValkeyState:
    """Empty where it does not answer."""

    error: str = ""
    ping_ms: float = 0.0
    version: str = ""
    memory_bytes: int = 0
    memory_limit_bytes: int = 0
    clients: int = 0
    queued_chunks: int = 0
    queued_tasks: int = 0
    workers: list[WorkerState] = field(default_factory=list)
    schedule_seen_at: datetime | None = None

    @property
    def slots(self) -> int:
        return sum(worker.slots for worker in self.workers)


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
    """The calls that arrived in the last minute and have ended, and those that run."""

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


@dataclass(frozen=True, slots=True)
class State:
    at: datetime
    valkey: ValkeyState
    postgres: PostgresState
    traffic: Traffic
    queue_limit: int
    apps: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """`level` is bad (customers notice) or warn (they soon will)."""

    level: str
    what: str
    remedy: str


def measure(at: datetime) -> State:
    """Everything at once; a Valkey that does not answer is part of the answer."""
    return State(
        at=at,
        valkey=measure_valkey(at),
        postgres=measure_postgres(),
        traffic=measure_traffic(at),
        queue_limit=settings.QUEUE_MAX_CHUNKS,
        apps=App.objects.count(),
    )


def measure_valkey(at: datetime) -> ValkeyState:
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
        state.queued_chunks = client.llen(exchange.QUEUE)
        state.queued_tasks = client.llen(settings.CELERY_TASK_DEFAULT_QUEUE)
        alive = exchange.workers(client, now_s=at.timestamp())
        told = exchange.about(client, [worker.id for worker in alive])
        state.workers = [
            WorkerState(worker.id, worker.slots, max(0.0, at.timestamp() - worker.seen_at_s), about)
            for worker, about in zip(alive, told, strict=True)
        ]
        state.schedule_seen_at = schedule.seen_at()
    except redis.RedisError as error:
        state.error = type(error).__name__
    return state


def measure_postgres() -> PostgresState:
    with connection.cursor() as cursor:
        started = time.perf_counter()
        cursor.execute("SELECT 1")
        ping_ms = (time.perf_counter() - started) * 1000
        cursor.execute(
            """SELECT current_setting('server_version'), pg_database_size(current_database()),
                   count(*) FILTER (WHERE datname IS NOT NULL), current_setting('max_connections')::int,
                   coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)
                       FILTER (WHERE datname = current_database() AND pid <> pg_backend_pid())), 0)
               FROM pg_stat_activity"""
        )
        version, size, connections, limit, longest = cursor.fetchone()
    return PostgresState(ping_ms, version.split()[0], size, connections, limit, float(longest))


def measure_traffic(at: datetime) -> Traffic:
    counts = Call.objects.filter(at__gt=at - RECENT, at__lte=at).aggregate(
        calls=Count("pk"),
        ok=Count("pk", filter=Q(code=errors.OK)),
        images=Sum("images", filter=Q(code=errors.OK)),
        overloaded=Count("pk", filter=Q(code=errors.OVERLOADED)),
        timed_out=Count("pk", filter=Q(code=errors.NO_ANSWER)),
        broken=Count("pk", filter=Q(code__in=[errors.INTERNAL, errors.INCOMPLETE_RESULT])),
    )
    held = Debit.objects.filter(state=DebitState.HELD).aggregate(
        in_flight=Count("pk", filter=Q(hold_expires_at__gt=at)),
        held_too_long=Count("pk", filter=Q(hold_expires_at__lte=at - timedelta(minutes=5))),
    )
    return Traffic(**{name: value or 0 for name, value in {**counts, **held}.items()})


def findings(state: State) -> list[Finding]:
    """What is wrong, worst first; empty when all is well."""
    found = [*_of_valkey(state), *_of_postgres(state.postgres), *_of_traffic(state.traffic)]
    return sorted(found, key=lambda finding: finding.level != "bad")


def _of_valkey(state: State) -> list[Finding]:
    one = state.valkey
    if one.error:
        return [
            Finding(
                "bad",
                _("Valkey 没有响应（%(error)s），所有调用都会返回 5003。") % {"error": one.error},
                _("检查 Valkey 进程和 REDIS_URL；恢复后无需其他操作。"),
            )
        ]
    found = []
    if not one.workers:
        found.append(
            Finding(
                "bad",
                _("没有可用的推理 worker，所有调用都会返回 5003。"),
                _("查看 worker 的日志并重新启动它；模型缺失时先运行 python -m inference.setup。"),
            )
        )
    if one.queued_chunks >= state.queue_limit:
        found.append(
            Finding(
                "bad",
                _("推理队列已满（%(depth)s / %(limit)s），新的调用正被拒绝（5003）。")
                % {"depth": one.queued_chunks, "limit": state.queue_limit},
                _("增加 worker，或为占用最多的应用设置频率上限。"),
            )
        )
    elif one.queued_chunks * 2 >= state.queue_limit:
        found.append(
            Finding(
                "warn",
                _("推理队列过半（%(depth)s / %(limit)s）。")
                % {"depth": one.queued_chunks, "limit": state.queue_limit},
                _("如果持续增长，增加 worker。"),
            )
        )
    # A product that has just started has not had the time to be late.
    started = min((worker.started_at for worker in one.workers if worker.started_at), default=None)
    since = one.schedule_seen_at or started
    late = since is None or (state.at - since).total_seconds() > schedule.LATE_AFTER_S
    if late and one.workers:
        found.append(
            Finding(
                "bad",
                _("定时任务没有运行：超时订单、失败调用的退还和通知会停下。"),
                _("启动 celery beat（只启动一个），并确认 worker 处理 default 队列。"),
            )
        )
    if one.memory_limit_bytes and one.memory_bytes > 0.8 * one.memory_limit_bytes:
        found.append(
            Finding(
                "warn",
                _("Valkey 内存使用超过 80%%。") % {},
                _("提高 maxmemory，或减少同时处理的大批量请求。"),
            )
        )
    versions = {worker.about.get("version") for worker in one.workers if worker.about}
    if len(versions) > 1:
        found.append(
            Finding("warn", _("worker 的版本不一致。"), _("把所有 worker 升级到同一版本后重新启动。"))
        )
    models = {tuple(sorted(worker.about.get("models", {}).items())) for worker in one.workers if worker.about}
    if len(models) > 1:
        found.append(
            Finding(
                "bad",
                _("worker 使用的模型不一致，同一张图片可能得到不同结果。"),
                _("在每台机器上重新运行 python -m inference.setup，然后重新启动 worker。"),
            )
        )
    return found


def _of_postgres(one: PostgresState) -> list[Finding]:
    found = []
    if one.connections > 0.85 * one.connection_limit:
        found.append(
            Finding(
                "warn",
                _("PostgreSQL 连接数接近上限（%(used)s / %(limit)s）。")
                % {"used": one.connections, "limit": one.connection_limit},
                _("提高 max_connections，或减少 web 进程和线程数。"),
            )
        )
    if one.longest_transaction_s > 300:
        found.append(
            Finding(
                "warn",
                _("有一个数据库事务已运行 %(seconds)d 秒。") % {"seconds": one.longest_transaction_s},
                _("查看 pg_stat_activity，结束卡住的会话。"),
            )
        )
    return found


def _of_traffic(one: Traffic) -> list[Finding]:
    found = []
    if one.broken:
        found.append(
            Finding(
                "bad",
                _("最近一分钟有 %(count)s 次调用因内部错误失败（5001/5002）。") % {"count": one.broken},
                _("在 web 和 worker 的日志里按 request_id 查找原因。"),
            )
        )
    if one.timed_out:
        found.append(
            Finding(
                "bad",
                _("最近一分钟有 %(count)s 次调用超时（5004）。") % {"count": one.timed_out},
                _("检查 worker 是否卡住或过载，必要时增加 worker。"),
            )
        )
    if one.overloaded:
        found.append(
            Finding(
                "bad" if one.overloaded * 20 > one.calls else "warn",
                _("最近一分钟拒绝了 %(count)s 次调用（5003）。") % {"count": one.overloaded},
                _("增加 worker，或提高 QUEUE_MAX_CHUNKS 和 CALLS_AT_ONCE。"),
            )
        )
    if one.held_too_long:
        found.append(
            Finding(
                "warn",
                _("有 %(count)s 笔预扣超过 5 分钟没有退还。") % {"count": one.held_too_long},
                _("确认定时任务 billing.sweep_holds 在运行。"),
            )
        )
    return found
