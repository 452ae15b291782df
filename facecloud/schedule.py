"""Whether the scheduled work runs: a task of its own notes each minute that beat and a worker got it done."""

from datetime import UTC, datetime

from facecloud import valkey

KEY = "schedule:seen"
LATE_AFTER_S = 180.0


def note(at: datetime) -> None:
    """The schedule ran at `at`."""
    valkey.client().set(KEY, at.timestamp())


def seen_at() -> datetime | None:
    """When it ran last; None if never since Valkey started."""
    noted = valkey.client().get(KEY)
    return datetime.fromtimestamp(float(noted), UTC) if noted else None
