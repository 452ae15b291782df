"""Usage of all customers, for operators: read functions over the roll-ups, each a few grouped queries.

Ranges are whole local days, half-open. The closed part is read from the coarsest roll-up that suffices, the
rest from UsageHour, so figures always equal the sum of the calls (rollups.py). Times (latency, queue,
inference) are those of calls with code 0.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from django.db import connection
from django.utils import timezone

from accounts.models import App
from faceapi.errors import OK
from faceapi.models import SUMS, Call
from faceapi.usage import rollups
from faceapi.usage.histogram import SLOTS, percentile

Step = Literal["hour", "day"]


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """Select calls of [since, until), and by other fields; None or "" selects all.

    `since` is a local midnight. `until` is one too if the usage is reported in steps; otherwise it is a full
    hour.
    """

    since: datetime
    until: datetime
    step: Step = "day"
    api: str = ""
    region: int | None = None
    customer: int | None = None
    app: int | None = None
    code: int | None = None

    def starts(self) -> list[datetime]:
        """Return the start of each step, oldest first."""
        width = timedelta(days=1) if self.step == "day" else timedelta(hours=1)
        starts, moment = [], timezone.localtime(self.since)
        while moment < self.until:
            starts.append(moment)
            moment += width
        return starts


@dataclass(slots=True)
class Figures:
    """Counts and times of some calls. `ok` counts those with code 0; sums of times (ms) include only these.

    Units are kept by API, because images of one API and calls of another cannot be added up.
    """

    calls: int = 0
    ok: int = 0
    images: int = 0
    units_by_api: Counter[str] = field(default_factory=Counter)
    latency_sum_ms: int = 0
    queue_sum_ms: int = 0
    infer_sum_ms: int = 0
    latency_histogram: list[int] = field(default_factory=lambda: [0] * SLOTS)

    def add_counts(self, other: "Figures") -> None:
        """Add all but the histogram."""
        self.calls += other.calls
        self.ok += other.ok
        self.images += other.images
        for api, units in other.units_by_api.items():
            self.units_by_api[api] += units
        self.latency_sum_ms += other.latency_sum_ms
        self.queue_sum_ms += other.queue_sum_ms
        self.infer_sum_ms += other.infer_sum_ms

    def add_latencies(self, histogram: Iterable[int]) -> None:
        self.latency_histogram = [
            mine + more for mine, more in zip(self.latency_histogram, histogram, strict=True)
        ]

    @property
    def failed(self) -> int:
        return self.calls - self.ok

    @property
    def success_rate(self) -> float | None:
        """The share of calls with code 0, from 0 to 1; None without calls."""
        return self.ok / self.calls if self.calls else None

    @property
    def queue_ms(self) -> float | None:
        """Mean time in the queue of a successful call."""
        return self.queue_sum_ms / self.ok if self.ok else None

    @property
    def infer_ms(self) -> float | None:
        """Mean time in inference of a successful call."""
        return self.infer_sum_ms / self.ok if self.ok else None

    @property
    def p50_ms(self) -> float | None:
        return percentile(self.latency_histogram, 0.50)

    @property
    def p95_ms(self) -> float | None:
        return percentile(self.latency_histogram, 0.95)

    @property
    def p99_ms(self) -> float | None:
        return percentile(self.latency_histogram, 0.99)


@dataclass(frozen=True, slots=True)
class Usage:
    """The figures of a time range: in total, and by step (every step), API, region and code."""

    total: Figures
    by_step: dict[datetime, Figures]
    by_api: dict[str, Figures]
    by_region: dict[int, Figures]
    by_code: dict[int, Figures]

    def begun(self, at: datetime) -> dict[datetime, Figures]:
        """Return the steps that have begun by `at`."""
        return {start: figures for start, figures in self.by_step.items() if start <= at}


def usage(span: UsageFilter, *, with_latencies: bool = True) -> Usage:
    """Return all figures of the usage report: two grouped queries on each roll-up in the range.

    Without latencies it is one query, which is an index-only scan for daily sums.
    """
    total = Figures()
    by_step = {start: Figures() for start in span.starts()}
    by_api: dict[str, Figures] = defaultdict(Figures)
    by_region: dict[int, Figures] = defaultdict(Figures)
    by_code: dict[int, Figures] = defaultdict(Figures)
    for (moment, api, region, code), figures in _counts(span, ("step", "api", "region_id", "code")):
        for group in (
            total,
            by_step[moment],
            by_api[api],
            by_region[region],
            by_code[code],
        ):
            group.add_counts(figures)
    # Percentiles cannot be added up, so each grouping sums its histograms in the database.
    for (moment, api), histogram in _latencies(span, ("step", "api")) if with_latencies else ():
        for group in (total, by_step[moment], by_api[api]):
            group.add_latencies(histogram)
    return Usage(total, by_step, dict(by_api), dict(by_region), dict(sorted(by_code.items())))


def totals(span: UsageFilter) -> Usage:
    """Return the figures without steps, for any range of full hours; cheaper than `usage` over many days."""
    total = Figures()
    by_api: dict[str, Figures] = defaultdict(Figures)
    by_region: dict[int, Figures] = defaultdict(Figures)
    by_code: dict[int, Figures] = defaultdict(Figures)
    for (api, region, code), figures in _counts(span, ("api", "region_id", "code")):
        for group in (total, by_api[api], by_region[region], by_code[code]):
            group.add_counts(figures)
    for (api,), histogram in _latencies(span, ("api",)):
        for group in (total, by_api[api]):
            group.add_latencies(histogram)
    return Usage(total, {}, dict(by_api), dict(by_region), dict(sorted(by_code.items())))


def counts(span: UsageFilter) -> Figures:
    """Return the counts of any full hours in total, without latencies."""
    total = Figures()
    for _key, figures in _counts(span, ("api", "code")):
        total.add_counts(figures)
    return total


def by_app(span: UsageFilter) -> dict[int, Figures]:
    """Return the counts (no latencies) of each App that was called, most calls first."""
    apps: dict[int, Figures] = defaultdict(Figures)
    for (app, _api, _code), figures in _counts(span, ("app_id", "api", "code")):
        apps[app].add_counts(figures)
    return dict(sorted(apps.items(), key=lambda row: (-row[1].calls, row[0])))


def by_service(span: UsageFilter) -> dict[tuple[str, int, int], Figures]:
    """Return counts and sums of times by API, region and code, for /metrics."""
    found: dict[tuple[str, int, int], Figures] = defaultdict(Figures)
    for key, figures in _counts(span, ("api", "region_id", "code")):
        found[key].add_counts(figures)
    return dict(sorted(found.items()))


def by_customer(figures_of: Mapping[int, Figures]) -> dict[int, Figures]:
    """Add up the counts of `by_app` by customer, most calls first."""
    owners = dict(App.objects.filter(pk__in=figures_of).values_list("pk", "customer"))
    customers: dict[int, Figures] = defaultdict(Figures)
    for app, figures in figures_of.items():
        customers[owners[app]].add_counts(figures)
    return dict(sorted(customers.items(), key=lambda row: (-row[1].calls, row[0])))


def latest_of(apps: Sequence[App], limit: int) -> list[Call]:
    """Return the latest calls of these Apps, newest first, from the index of each."""
    found = Call.objects.raw(
        """SELECT call.* FROM unnest(%s::bigint[]) AS wanted (app_id), LATERAL (
               SELECT * FROM faceapi_call WHERE app_id = wanted.app_id ORDER BY at DESC LIMIT %s
           ) AS call ORDER BY at DESC LIMIT %s""",
        [[app.pk for app in apps], limit, limit],
    )
    by_pk = {app.pk: app for app in apps}
    calls = list(found)
    for call in calls:
        call.app = by_pk[call.app_id]
    return calls


def histograms(span: UsageFilter) -> dict[str, dict[str, list[int]]]:
    """Return summed histograms of successful calls by kind (latency, queue, infer) and API, for /metrics."""
    found: dict[str, dict[str, list[int]]] = {}
    for name in rollups.HISTOGRAMS:
        sums: dict[str, Figures] = defaultdict(Figures)
        for (api,), histogram in _grouped_histograms(span, ("api",), name):
            sums[api].add_latencies(histogram)
        found[name.removesuffix("_histogram")] = {api: one.latency_histogram for api, one in sums.items()}
    return found


# --- the queries -------------------------------------------------------------------


def _counts(span: UsageFilter, keys: tuple[str, ...]) -> Iterable[tuple[tuple[Any, ...], Figures]]:
    """Yield figures (without latencies) by `keys`, which include api and code; a key may occur repeatedly."""
    sums = [f"sum({name})" for name in SUMS]
    api, code = keys.index("api"), keys.index("code")
    for row in _grouped(span, keys, sums):
        calls, images, units, *times = (int(value) for value in row[len(keys) :])
        key = row[: len(keys)]
        charged = Counter({key[api]: units}) if units else Counter()
        if key[code] == OK:
            latency, queue, infer = times
            yield key, Figures(calls, calls, images, charged, latency, queue, infer)
        else:
            yield key, Figures(calls, 0, images, charged)


def _latencies(span: UsageFilter, keys: tuple[str, ...]) -> Iterable[tuple[tuple[Any, ...], list[int]]]:
    """Yield summed latency histograms of successful calls by `keys`; a key may occur more than once."""
    return _grouped_histograms(span, keys, "latency_histogram")


def _grouped_histograms(
    span: UsageFilter, keys: tuple[str, ...], name: str
) -> Iterable[tuple[tuple[Any, ...], list[int]]]:
    for row in _grouped(span, keys, [rollups.summed(name)], ok_only=True):
        yield row[: len(keys)], row[-1]


def _grouped(
    span: UsageFilter, keys: tuple[str, ...], values: list[str], *, ok_only: bool = False
) -> Iterable[tuple[Any, ...]]:
    apps = _apps(span)
    if apps == []:
        return
    for table, column, since, until in _sources(span, keys, by_apps=apps is not None or "app_id" in keys):
        if since >= until:
            continue
        step, parameters = _step(span, column) if "step" in keys else ("", [])
        where, narrowing = _where(span, apps)
        group = ", ".join(step if key == "step" else key for key in keys)
        with connection.cursor() as cursor:
            cursor.execute(
                f"""SELECT {group}, {", ".join(values)} FROM {table}
                WHERE {column} >= %s AND {column} < %s{where}{" AND code = 0" if ok_only else ""}
                GROUP BY {", ".join(str(position + 1) for position in range(len(keys)))}""",  # noqa: S608 - ours
                [*parameters, since, until, *narrowing],
            )
            yield from cursor.fetchall()


def _sources(
    span: UsageFilter, keys: tuple[str, ...], *, by_apps: bool
) -> list[tuple[str, str, datetime, datetime]]:
    """Return (table, column of time, since, until): a roll-up for the closed part, UsageHour for the rest."""
    hours = ("faceapi_usagehour", "hour")
    closed: tuple[str, str]
    until: Callable[[], datetime | None]
    if not by_apps:
        closed, until = ("faceapi_servicehour", "hour"), rollups.hours_closed_until
    elif span.step == "day" or "step" not in keys:
        closed, until = ("faceapi_usageday", "day"), rollups.days_closed_until
    else:
        return [(*hours, span.since, span.until)]
    mark = min(max(until() or span.since, span.since), span.until)
    if closed[1] == "day":
        mark = rollups.local_day(mark)  # a day that is only partly in the span is read by the hour
    return [(*closed, span.since, mark), (*hours, mark, span.until)]


def _step(span: UsageFilter, column: str) -> tuple[str, list[str]]:
    if column == span.step:
        return column, []
    return f"date_trunc('day', {column}, %s)", [timezone.get_default_timezone_name()]


def _apps(span: UsageFilter) -> list[int] | None:
    """Return the Apps that the filter selects; None for all."""
    if span.app is None and span.customer is None:
        return None
    apps = App.objects.all()
    if span.app is not None:
        apps = apps.filter(pk=span.app)
    if span.customer is not None:
        apps = apps.filter(customer=span.customer)
    return list(apps.values_list("pk", flat=True))


def _where(span: UsageFilter, apps: list[int] | None) -> tuple[str, list[str | int | list[int]]]:
    text = ""
    parameters: list[str | int | list[int]] = []
    wanted: list[tuple[str, Any]] = [("api = %s", span.api or None), ("region_id = %s", span.region)]
    wanted += [("code = %s", span.code), ("app_id = ANY(%s)", apps)]
    for condition, value in wanted:
        if value is not None:
            text += f" AND {condition}"
            parameters.append(value)
    return text, parameters
