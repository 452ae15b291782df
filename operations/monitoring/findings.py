"""Findings for operators, each with a remedy: a table of rules on the measurements of health.py."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from django.conf import settings
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from operations.monitoring.health import State

Level = Literal["bad", "warn"]
LONG_TRANSACTION_S = 300
MAILS_WAIT = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """`level` is bad (customers are affected) or warn (they may be soon)."""

    level: Level
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule for a finding: its condition `holds`, and its message `what`, which may use the `facts`.

    `after_death` replaces the remedy if a worker died recently, because more workers or a longer queue would
    not help then.
    """

    key: str  # of its incidents
    level: Level
    holds: Callable[[State], bool]
    what: Promise
    remedy: Promise
    after_death: Promise | None = None

    def finding(self, state: State, values: dict[str, object]) -> Finding:
        remedy = self.after_death if self.after_death and state.recent_deaths else self.remedy
        return Finding(self.level, self.what % values, str(remedy))


AFTER_DEATH = _("先处理意外退出的 worker：容量恢复后，这类错误会自行消失。")


def facts(state: State) -> dict[str, object]:
    """Return the values for the messages."""
    return {
        "error": state.valkey.error,
        "wrong_clocks": ", ".join(f"{host} {off:+.1f} s" for host, off in state.valkey.wrong_clocks.items()),
        "stuck": ", ".join(worker.id for worker in state.valkey.stuck_workers),
        "depth": max(state.valkey.queued.values(), default=0),
        "regions": str(_("、")).join(map(str, state.regions_without_worker)),
        "mails": state.valkey.queued_mails,
        "failed_mails": state.valkey.failed_mails,
        "limit": state.queue_limit,
        "connections": state.postgres.connections,
        "connection_limit": state.postgres.connection_limit,
        "seconds": int(state.postgres.longest_transaction_s),
        "broken": state.traffic.broken,
        "timed_out": state.traffic.timed_out,
        "overloaded": state.traffic.overloaded,
        "held_too_long": state.traffic.held_too_long,
        "dead": str(_("、")).join(death.worker_id for death in state.recent_deaths),
        "breaks": state.books.breaks,
        "proved_at": _minute(state.books.proved_at),
        "unproved_h": int(state.books.age_s // 3600),
        "persons": f"{state.persons:,}",
        "faces_of_closed_accounts": f"{state.faces_of_closed_accounts:,}",
        "died_at": str(_("、")).join(_clock(death.seen_at_s) for death in state.recent_deaths),
    }


def _minute(moment: datetime | None) -> str:
    return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M") if moment else ""


def _clock(seconds: float) -> str:
    return timezone.localtime(datetime.fromtimestamp(seconds, UTC)).strftime("%H:%M:%S")


RULES = (
    Rule(
        "valkey-away", "bad", lambda state: not state.valkey.is_up,
        _("Valkey 没有响应（%(error)s），所有调用都会返回 5003。"),
        _("检查 Valkey 进程和 REDIS_URL；恢复后无需其他操作。"),
    ),
    Rule(
        "no-worker", "bad", lambda state: state.valkey.is_up and not state.valkey.workers,
        _("没有可用的推理 worker，所有调用都会返回 5003。"),
        _("查看 worker 的日志并重新启动它；模型缺失时先运行 python -m inference.models.setup。"),
    ),
    Rule(
        "region-no-worker", "bad", lambda state: bool(state.regions_without_worker),
        _("没有 worker 处理这些地域的队列：%(regions)s，它们的应用的调用都会返回 5003。"),
        _("启动 WORKER_QUEUES 含该队列的 worker，或在目录中修改地域的推理队列。"),
    ),
    Rule(
        "worker-died", "bad", lambda state: bool(state.recent_deaths),
        _("推理 worker 意外退出或失联：%(dead)s，最后心跳 %(died_at)s。"),
        _("查看它的日志和系统日志（内存不足时会被内核结束），并确认监督程序已重新启动它。"),
    ),
    Rule(
        "queue-full", "bad", lambda state: state.queue_share >= 1,
        _("推理队列已满（%(depth)s / %(limit)s），新的调用正被拒绝（5003）。"),
        _("增加 worker，或为占用最多的应用设置频率上限。"), AFTER_DEATH,
    ),
    Rule(
        "schedule-late", "bad", lambda state: state.is_schedule_late,
        _("定时任务没有运行：超时订单、失败调用的退还和通知会停下。"),
        _("启动 celery beat（只启动一个），以及处理 scheduled 队列的 worker（--queues scheduled）。"),
    ),
    Rule(
        "mails-wait", "warn", lambda state: state.valkey.queued_mails > MAILS_WAIT,
        _("有 %(mails)s 个邮件任务在等待：通知和重设密码的链接没有发出。"),
        _("确认处理 mail 队列的 worker 在运行（--queues mail），并检查 EMAIL_URL 的邮件服务器。"),
    ),
    Rule(
        "mails-fail", "warn", lambda state: state.valkey.failed_mails > 0,
        _("最近一小时有 %(failed_mails)s 次邮件发送失败：邮件服务器没有接受。"),
        _("检查 EMAIL_URL 和邮件服务器，原因在处理 mail 队列的 worker 的日志里。"
          "通知和报告之后会再发；链接没有送达的用户需要重新申请。"),
    ),
    Rule(
        "models-differ", "bad", lambda state: len(state.valkey.model_sets) > 1,
        _("worker 使用的模型不一致，同一张图片可能得到不同结果。"),
        _("在每台机器上重新运行 python -m inference.models.setup，然后重新启动 worker。"),
    ),
    Rule(
        "broken", "bad", lambda state: state.traffic.broken > 0,
        _("最近一分钟有 %(broken)s 次调用因内部错误失败（5001/5002）。"),
        _("在 web 和 worker 的日志里按 request_id 查找原因。"),
    ),
    Rule(
        "timed-out", "bad", lambda state: state.traffic.timed_out > 0,
        _("最近一分钟有 %(timed_out)s 次调用超时（5004）。"),
        _("检查 worker 是否卡住或过载，必要时增加 worker。"), AFTER_DEATH,
    ),
    Rule(
        "overloaded", "bad", lambda state: state.traffic.overloaded_share > 0.05,
        _("最近一分钟拒绝了 %(overloaded)s 次调用（5003）。"),
        _("增加 worker，或提高 QUEUE_MAX_CHUNKS 和 CALLS_AT_ONCE。"), AFTER_DEATH,
    ),
    Rule(
        "some-overloaded", "warn", lambda state: 0 < state.traffic.overloaded_share <= 0.05,
        _("最近一分钟拒绝了 %(overloaded)s 次调用（5003）。"),
        _("增加 worker，或提高 QUEUE_MAX_CHUNKS 和 CALLS_AT_ONCE。"), AFTER_DEATH,
    ),
    Rule(
        "queue-half", "warn", lambda state: 0.5 <= state.queue_share < 1,
        _("推理队列过半（%(depth)s / %(limit)s）。"),
        _("如果持续增长，增加 worker。"), AFTER_DEATH,
    ),
    Rule(
        "memory", "warn", lambda state: state.valkey.memory_share > 0.8,
        _("Valkey 内存使用超过 80%%。"),
        _("提高 maxmemory，或减少同时处理的大批量请求。"),
    ),
    Rule(
        "clocks", "warn", lambda state: bool(state.valkey.wrong_clocks),
        _("有主机的时钟与 Valkey 的时钟不一致（%(wrong_clocks)s）。"),
        _("在该主机上检查 NTP。期间以数据库和 Valkey 的时钟为准，调用不受影响。"),
    ),
    Rule(
        "worker-stuck", "bad", lambda state: bool(state.valkey.stuck_workers),
        _("worker 的所有并发槽长时间没有进展（%(stuck)s）。"),
        _("查看该 worker 的日志，然后重新启动它；调用会由其他 worker 重新处理。"),
    ),
    Rule(
        "versions-differ", "warn", lambda state: len(state.valkey.versions) > 1,
        _("worker 的版本不一致。"),
        _("把所有 worker 升级到同一版本后重新启动。"),
    ),
    Rule(
        "connections", "warn",
        lambda state: state.postgres.connections > 0.85 * state.postgres.connection_limit,
        _("PostgreSQL 连接数接近上限（%(connections)s / %(connection_limit)s）。"),
        _("提高 max_connections，或减少 web 进程和线程数。"),
    ),
    Rule(
        "long-transaction", "warn", lambda state: state.postgres.longest_transaction_s > LONG_TRANSACTION_S,
        _("有一个数据库事务已运行 %(seconds)s 秒。"),
        _("查看 pg_stat_activity，结束卡住的会话。"),
    ),
    Rule(
        "held-too-long", "warn", lambda state: state.traffic.held_too_long > 0,
        _("有 %(held_too_long)s 笔预扣超过 5 分钟没有退还。"),
        _("确认定时任务 billing.sweep_holds 在运行。"),
    ),
    Rule(
        "books-disagree", "bad", lambda state: state.books.breaks > 0,
        _("对账发现 %(breaks)s 处矛盾（%(proved_at)s）。"),
        _("执行 manage.py reconcile 列出每一处，按 docs/operators/runbook.md 查明原因；不要直接修改账目。"),
    ),
    Rule(
        "books-late", "warn", lambda state: state.books.is_late,
        _("对账已有 %(unproved_h)s 小时没有运行。"),
        _("在处理 scheduled 队列的 worker 日志中查找 billing.reconcile_books，或执行 manage.py reconcile。"),
    ),
    Rule(
        "many-persons", "warn", lambda state: state.persons >= settings.GALLERY_PERSONS_WARNING,
        _("人脸库已保存 %(persons)s 人，接近或超过 10 万人的备案门槛。"),
        _("按《人脸识别技术应用安全管理办法》，满 10 万人之日起 30 个工作日内向省级以上网信部门备案；"
          "或请客户删除不再需要的人员。"),
    ),
    Rule(
        "faces-of-closed-accounts", "warn", lambda state: state.faces_of_closed_accounts > 0,
        _("已停用的账号仍保存着人脸，客户自己不能再删除：%(faces_of_closed_accounts)s 张。"),
        _("确认账号不再启用后，在该客户的页面执行“删除人脸库”，"
          "或执行 manage.py erase_gallery --customer 用户名。"),
    ),
)  # fmt: skip

UNWATCHED = Rule(
    "unwatched", "bad", lambda state: False,
    _("监控中断：这段时间没有检查结果。"),
    _("celery beat、处理 scheduled 队列的 worker、Valkey 或 PostgreSQL 当时没有运行，请查看它们的日志。"),
)  # fmt: skip


def findings(state: State) -> list[Finding]:
    """Return the current findings in the reader's language, the worst first."""
    values = facts(state)
    return [rule.finding(state, values) for rule in RULES if rule.holds(state)]
