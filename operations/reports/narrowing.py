"""The links of a figure: the same report with a narrower filter, or its calls."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from console.reports.date_ranges import CUSTOM, DEFAULT
from console.views.calls import MAX_DAYS, MINUTE_FORMAT, RANGES
from faceapi.usage.operator_reports import UsageFilter

KEPT = ("range", "since", "until", "step", "api", "region", "code", "who")


@dataclass(frozen=True)
class Narrowing:
    """The current filter of a report; `query` is in the form's format."""

    path: str
    query: Mapping[str, str]
    span: UsageFilter

    def address(self, path: str = "", **more: object) -> str:
        """Return the address of the report, or of the one at `path`, with the filter `more` added."""
        chosen = {name: value for name, value in {**self.query, **more}.items() if value not in ("", None)}
        return f"{path or self.path}?{urlencode(chosen)}"

    def day(self, start: datetime) -> str:
        """Return the address of one day of the report, by the hour."""
        day = timezone.localtime(start).strftime("%Y-%m-%d")
        return self.address(range=CUSTOM, since=day, until=day, step="hour")

    def calls(self, **more: object) -> str:
        """Return the address of the calls that the report counts; of a long report, its last MAX_DAYS."""
        chosen: dict[str, object] = {
            "step": "",
            "since": "",
            "until": "",
            "range": self.query.get("range", ""),
        }
        if chosen["range"] not in RANGES:
            first = max(self.span.since, self.span.until - timedelta(days=MAX_DAYS))
            chosen |= {"range": CUSTOM, "since": _minute(first), "until": _minute(self.span.until)}
        return self.address(reverse("ops_calls"), **{**chosen, **more})

    def calls_of(self, start: datetime, width: timedelta) -> str:
        """Return the address of the calls of one step of the report."""
        return self.calls(range=CUSTOM, since=_minute(start), until=_minute(start + width))


def _minute(moment: datetime) -> str:
    return timezone.localtime(moment).strftime(MINUTE_FORMAT)


def of(request: HttpRequest, span: UsageFilter, path: str = "") -> Narrowing:
    """Return the narrowing of the requested report."""
    query = {"range": DEFAULT} | {name: request.GET[name] for name in KEPT if request.GET.get(name)}
    return Narrowing(path or request.path, query, span)
