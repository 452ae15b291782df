"""The figures above a report, each compared with the previous period."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from console.reports.changes import Comparison as Comparison
from console.reports.changes import change as change
from console.reports.changes import points as points
from faceapi.usage.operator_reports import UsageFilter


@dataclass(frozen=True, slots=True)
class Stat:
    """A figure above the charts: its parts with their units, its change, and the address of its records."""

    label: str
    parts: list[tuple[str, str]]
    change: Comparison
    href: str = ""


@dataclass(frozen=True, slots=True)
class Before:
    """The period before that of a report, of the same length; for a current period, up to the same hour."""

    since: datetime
    until: datetime

    @property
    def is_cut(self) -> bool:
        """Return whether it ends within a day, because the report's period is still in progress."""
        return timezone.localtime(self.until).hour != 0

    def __str__(self) -> str:
        first, last = timezone.localtime(self.since), timezone.localtime(self.until - timedelta(seconds=1))
        if not self.is_cut:
            return (
                f"{first:%Y-%m-%d}" if first.date() == last.date() else f"{first:%Y-%m-%d} – {last:%Y-%m-%d}"
            )
        return f"{first:%Y-%m-%d %H:%M} – {timezone.localtime(self.until):%Y-%m-%d %H:%M}"


def before(span: UsageFilter, at: datetime) -> Before:
    """Return the period before `span`. Usage is stored by the hour, so it ends with the hour of `at`."""
    length = span.until - span.since
    until = span.until
    if span.since <= at < span.until:
        hour = timezone.localtime(at).replace(minute=0, second=0, microsecond=0)
        until = min(hour + timedelta(hours=1), span.until)
    return Before(span.since - length, until - length)
