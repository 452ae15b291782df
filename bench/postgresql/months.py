"""Drop the months of a filled database.

`bin/bench months --calls 1000000` fills a temporary database, proves its books, and drops everything 14
months later, while one App continuously reserves and returns units. It prints the time of each step, and the
longest wait of a reservation.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from bench.postgresql.database import on_temporary_postgresql


def main() -> int:
    return on_temporary_postgresql("bench.postgresql.months", __doc__, run)


def run(calls: int) -> bool:
    """Print the times; return whether the books agree after each step."""
    from django.conf import settings
    from django.utils import timezone

    from bench.postgresql import reconcile as bench_reconcile
    from billing.books import months, reconcile
    from billing.models import Debit

    bench_reconcile.generate(calls)
    at = timezone.now()
    sound = not any(proof.breaks for proof in reconcile.run(at))
    print(f"{Debit.objects.count():,} debits; the books {'agree' if sound else 'DISAGREE'}")

    later = at + timedelta(days=15 * 31)
    with timed("reconcile, each day until 15 months later"):
        reconcile.run_and_record(later)
    waits: list[float] = []
    with reserving(waits), timed("make the coming months, drop the old ones"):
        dropped = months.keep(later)
    print(f"{', '.join(dropped)} are dropped; the longest reservation took {max(waits) * 1000:.0f} ms")
    sound &= len(dropped) >= len(settings.MONTHLY_TABLES)
    sound &= not any(proof.breaks for proof in reconcile.run_and_record(later, anew=True))
    print(f"{Debit.objects.count():,} debits; the books {'agree' if sound else 'DISAGREE'}")
    return sound


@contextmanager
def timed(what: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    print(f"{what:48} {time.perf_counter() - started:6.2f} s")


@contextmanager
def reserving(waits: list[float]) -> Iterator[None]:
    """Continuously reserve and return units, and record the time of each pair."""
    from django.db import connection
    from django.utils import timezone

    from billing import quota
    from billing.models import Period
    from common import time_ids

    over = threading.Event()
    now = timezone.now()
    period = Period.objects.filter(quota.live(now), used__lt=100).select_related("app").order_by("pk")[0]

    def work() -> None:
        try:
            while not over.is_set():
                at = timezone.now()
                started = time.perf_counter()
                debit = quota.reserve(
                    call_id=time_ids.new(at), app=period.app, api=period.api, images=1, pairs=1, at=at
                )
                quota.give_back(debit.pk, at)
                waits.append(time.perf_counter() - started)
                time.sleep(0.005)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


if __name__ == "__main__":
    sys.exit(main())
