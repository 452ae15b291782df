"""/metrics for Prometheus, computed at each scrape from PostgreSQL and Valkey.

Nothing is counted in a process: every web process on every host returns the same values, so scrape only one
address. Counters of calls and their histograms restart at each local midnight; rate() and increase() handle
resets.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

import redis
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

import common
from accounts import roles
from accounts.models import Region
from billing.books import months
from billing.models import Order, OrderState
from common.postgresql.clock import now
from faceapi.usage import operator_reports, rollups, unattributed
from faceapi.usage.histogram import BOUNDS_MS
from faceapi.usage.operator_reports import UsageFilter
from operations.monitoring import health

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
LABELS = ("api", "region", "code")


class Product(Collector):
    """All metrics of the product at one time."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def collect(self) -> Iterator[Family]:
        started = time.perf_counter()
        today = rollups.local_day(self.at)
        span = UsageFilter(today, today + timedelta(days=1), "hour")
        yield from calls(span)
        yield from times(span)
        state = health.measure(self.at)
        yield from gauges(state)
        yield from kept(months.state(self.at))
        if state.valkey.is_up:  # one that hangs costs VALKEY_TIMEOUT_S for each read, and Prometheus gives up
            yield from refused()
        yield gauge("scrape_seconds", "Time that this scrape took", time.perf_counter() - started)


def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"facecloud_{name}", text, value=value)


def calls(span: UsageFilter) -> Iterator[Family]:
    """Yield the counters of calls, images and units since local midnight."""
    regions = dict(Region.objects.values_list("pk", "code"))
    found = {
        "calls": CounterMetricFamily("facecloud_calls", "Calls that have ended", labels=LABELS),
        "images": CounterMetricFamily("facecloud_images", "Images in those calls", labels=LABELS),
        "units": CounterMetricFamily("facecloud_units", "Units that were charged", labels=LABELS),
    }
    for (api, region, code), figures in operator_reports.by_service(span).items():
        labels = (api, regions[region], str(code))
        found["calls"].add_metric(labels, figures.calls)
        found["images"].add_metric(labels, figures.images)
        found["units"].add_metric(labels, figures.units_by_api[api])
    yield from found.values()


def times(span: UsageFilter) -> Iterator[Family]:
    """Yield the histograms of the times of successful calls, in seconds, by API."""
    sums: dict[str, dict[str, int]] = {"latency": {}, "queue": {}, "infer": {}}
    for (api, _region, _code), figures in operator_reports.by_service(span).items():
        for kind, of_api in sums.items():
            of_api[api] = of_api.get(api, 0) + getattr(figures, f"{kind}_sum_ms")
    texts = {
        "latency": "From a call's arrival to its answer",
        "queue": "A call's longest wait for a worker",
        "infer": "A call's time in inference",
    }
    for kind, by_api in operator_reports.histograms(span).items():
        family = HistogramMetricFamily(f"facecloud_{kind}_seconds", texts[kind], labels=("api",))
        for api, histogram in by_api.items():
            family.add_metric((api,), buckets(histogram), sums[kind].get(api, 0) / 1000)
        yield family


def buckets(histogram: Sequence[int]) -> list[tuple[str, float]]:
    """Return cumulative counts by upper bound in seconds."""
    bounds = [*(f"{bound / 1000:g}" for bound in BOUNDS_MS), "+Inf"]
    total, found = 0, []
    for bound, count in zip(bounds, histogram, strict=True):
        total += count
        found.append((bound, float(total)))
    return found


def gauges(state: health.State) -> Iterator[Family]:
    """Yield the figures of /ops/live/."""
    build = GaugeMetricFamily("facecloud_build_info", "The product's version", labels=("version",))
    build.add_metric((common.__version__,), 1)
    yield build
    broker, database, traffic = state.valkey, state.postgres, state.traffic
    yield gauge("queue_limit_chunks", "Chunks that may wait in one queue before refusals", state.queue_limit)
    yield gauge("calls_in_flight", "Calls that hold units now", traffic.in_flight)
    yield gauge("holds_overdue", "Holds that should have been given back", traffic.held_too_long)
    yield gauge("apps", "Number of Apps", state.apps)
    yield gauge("gallery_persons", "Persons in all face galleries", state.persons)
    yield gauge("gallery_faces", "Faces in all face galleries", state.faces)
    yield gauge("orders_pending", "Unpaid orders", Order.objects.filter(state=OrderState.PENDING).count())
    yield gauge("postgres_ping_seconds", "Response time of PostgreSQL", database.ping_ms / 1000)
    yield gauge("postgres_size_bytes", "Size of the database", database.size_bytes)
    yield gauge("postgres_connections", "Open connections to PostgreSQL", database.connections)
    yield gauge("postgres_connection_limit", "max_connections of PostgreSQL", database.connection_limit)
    longest_s = database.longest_transaction_s
    yield gauge("postgres_longest_transaction_seconds", "Age of the oldest open transaction", longest_s)
    yield from books(state.books)
    yield gauge("valkey_up", "Whether Valkey responds", 0 if broker.error else 1)
    if broker.error:
        return
    yield gauge("valkey_ping_seconds", "Response time of Valkey", broker.ping_ms / 1000)
    yield gauge("valkey_memory_bytes", "Memory that Valkey uses", broker.memory_bytes)
    yield gauge("valkey_memory_limit_bytes", "maxmemory of Valkey; 0 if unlimited", broker.memory_limit_bytes)
    yield gauge("queue_chunks", "Chunks that wait for a worker, in all queues", broker.queued_chunks)
    yield gauge("tasks_waiting", "Scheduled tasks that wait", broker.queued_tasks)
    yield gauge("mails_waiting", "Mail tasks that wait", broker.queued_mails)
    yield gauge("workers", "Warm inference workers", len(broker.workers))
    died = CounterMetricFamily("facecloud_worker_deaths", "Inference workers that died")
    died.add_metric((), broker.death_count)
    yield died
    yield gauge("worker_slots", "Chunks that the workers can process at once", broker.slots)
    yield from of_regions(state)
    yield gauge("workers_stuck", "Workers whose slots make no progress", len(broker.stuck_workers))
    offsets = GaugeMetricFamily(
        "facecloud_clock_offset_seconds", "A host's clock minus Valkey's", labels=("host",)
    )
    for host, offset in broker.clock_offsets.items():
        offsets.add_metric((host,), offset)
    yield offsets
    if broker.schedule_seen_at is not None:
        age = (state.at - broker.schedule_seen_at).total_seconds()
        yield gauge("schedule_age_seconds", "Time since the scheduled tasks last ran", age)


def of_regions(state: health.State) -> Iterator[Family]:
    """Yield workers, slots and waiting chunks by region; regions with one queue have the same figures."""
    found = {
        "workers": GaugeMetricFamily(
            "facecloud_region_workers", "Workers that take from the region's queue", labels=("region",)
        ),
        "slots": GaugeMetricFamily(
            "facecloud_region_worker_slots", "Slots of those workers", labels=("region",)
        ),
        "chunks": GaugeMetricFamily(
            "facecloud_region_queue_chunks", "Chunks that wait in the region's queue", labels=("region",)
        ),
    }
    for one in state.regions:
        labels = (one.region.code,)
        found["workers"].add_metric(labels, len(one.workers))
        found["slots"].add_metric(labels, one.slots)
        found["chunks"].add_metric(labels, one.queued_chunks)
    yield from found.values()


def books(state: health.Books) -> Iterator[Family]:
    """Yield the last result of reconcile; before the first run, only the age of the installation."""
    yield gauge("reconcile_age_seconds", "Time since the books were last reconciled", state.age_s)
    if state.proved_at is not None:
        yield gauge("reconcile_breaks", "Contradictions that the last reconcile found", state.breaks)
        yield gauge("reconcile_checks", "Checks of the last reconcile", state.checks)
        yield gauge("reconcile_duration_seconds", "Duration of the last reconcile", state.duration_ms / 1000)


def kept(state: months.State) -> Iterator[Family]:
    """Yield how many monthly partitions of calls and debits exist in advance, and how many are overdue."""
    yield gauge("months_ahead", "Future months for which calls and debits have partitions", state.ahead)
    yield gauge("months_overdue", "Months that are kept longer than CALLS_KEPT_MONTHS", state.overdue)


def refused() -> Iterator[Family]:
    """Yield the number of requests that were not authentic, since Valkey started."""
    family = CounterMetricFamily("facecloud_refused", "Requests that were not authentic", labels=("code",))
    try:
        found = unattributed.counts()
    except redis.RedisError:
        return
    for code, count in found.items():
        family.add_metric((str(code),), count)
    yield family


def has_token(request: HttpRequest) -> bool:
    """Return whether the request carries METRICS_TOKEN."""
    sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
    token = str(settings.METRICS_TOKEN)
    return bool(token) and secrets.compare_digest(sent.encode(), token.encode())


def is_allowed(request: HttpRequest) -> bool:
    """Return whether the request carries the token, or comes from an operator.

    The client's address is not considered: behind a local proxy that sets no X-Forwarded-For, all clients
    come from loopback.
    """
    return has_token(request) or roles.may(request.user, "ops_reports")


class ScrapeMiddleware:
    """Answers a request for /metrics that carries the token, before the Host header is validated.

    In a cluster, Prometheus uses the addresses of the pods, which are not in DJANGO_ALLOWED_HOSTS. The reply
    contains no links, so a forged Host has no effect.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info != "/metrics" or not has_token(request):
            return self.get_response(request)
        response = metrics(request)
        response["Content-Length"] = str(len(response.content))
        return response


@never_cache
@require_GET
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics in the text format, or 403 without permission."""
    if not is_allowed(request):
        return HttpResponse("forbidden\n", status=403, content_type="text/plain")
    registry = CollectorRegistry()
    registry.register(Product(now()))
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
