"""Monitor the scheduled tasks, and send those again that were missed.

A task that runs each minute records that beat and a worker are running. It also checks the tasks in
CAUGHT_UP: one whose last success is older than its schedule allows is sent again, because its worker may have
died, Valkey may have lost it, or nothing ran when it was due. After a loss of Valkey's data all of them are
sent. More frequent tasks, such as the sweep, are not sent again, because their next run does the work. A
process that dies is restarted by its supervisor; if nothing has run for LATE_AFTER_S, operators see a
finding. All times are Valkey's, so that the clocks of the hosts do not matter.

    schedule:seen        time of the last run of the schedule
    schedule:started     hash: task → time of its last start
    schedule:succeeded   hash: task → time of its last success
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings

from common import clock, valkey

KEY = "schedule:seen"
STARTED_KEY, SUCCEEDED_KEY = "schedule:started", "schedule:succeeded"
LATE_AFTER_S = 180.0
AGAIN_AFTER_S = 600.0  # a task that started more recently may still run
# billing.sample_usage is not one of them: it records the usage at midnight, which is not known later.
CAUGHT_UP = frozenset(
    {
        "accounts.forget_invitations",
        "accounts.forget_logins",
        "billing.forget_notices",
        "billing.keep_months",
        "billing.reconcile_books",
        "faceapi.forget_idempotency_keys",
        "faceapi.forget_usage",
        "faceapi.mend_usage",
        "gallery.delete_expired",
    }
)


def note(age_s: float = 0.0) -> None:
    """Record that the schedule ran `age_s` seconds ago."""
    client = valkey.client()
    client.set(KEY, clock.now_s(client) - age_s)


def age_s() -> float | None:
    """Return the seconds since the schedule last ran, or None if it has not since Valkey started."""
    client = valkey.client()
    noted = client.get(KEY)
    return max(0.0, clock.now_s(client) - float(noted)) if noted else None


def note_start(task: str) -> None:
    """Record that the task starts now."""
    client = valkey.client()
    client.hset(STARTED_KEY, task, clock.now_s(client))


def note_success(task: str) -> None:
    """Record that the task succeeded now."""
    client = valkey.client()
    client.hset(SUCCEEDED_KEY, task, clock.now_s(client))


def send_overdue(send: Callable[[str], Any]) -> list[str]:
    """Send the tasks again that were missed or did not succeed, and return their names."""
    client = valkey.client()
    now = datetime.fromtimestamp(clock.now_s(client), UTC)
    started, succeeded = _times(client.hgetall(STARTED_KEY)), _times(client.hgetall(SUCCEEDED_KEY))
    overdue = [
        task
        for task, schedule in _schedules().items()
        if _is_overdue(schedule, now, started.get(task), succeeded.get(task))
    ]
    for task in overdue:
        note_start(task)  # counts as started, so that the next minute does not send it again
        send(task)
    return overdue


def _is_overdue(schedule: Any, now: datetime, started: datetime | None, succeeded: datetime | None) -> bool:
    if started is not None and now - started < timedelta(seconds=AGAIN_AFTER_S):
        return False
    if succeeded is None:
        return True
    # Beat sends the task when it is due; it is overdue if it should have succeeded AGAIN_AFTER_S ago.
    due_in: timedelta = schedule.remaining_estimate(succeeded)
    return due_in < -timedelta(seconds=AGAIN_AFTER_S)


def _schedules() -> dict[str, Any]:
    from celery.schedules import maybe_schedule

    entries: Iterable[dict[str, Any]] = settings.CELERY_BEAT_SCHEDULE.values()
    return {
        str(entry["task"]): maybe_schedule(entry["schedule"])
        for entry in entries
        if entry["task"] in CAUGHT_UP
    }


def _times(found: Any) -> dict[str, datetime]:
    return {task.decode(): datetime.fromtimestamp(float(at), UTC) for task, at in found.items()}
