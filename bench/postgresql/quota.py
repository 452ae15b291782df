"""Quota benchmarks: throughput of one App, a race of 50 processes, kill -9 rounds, queries of the pages.

`bin/bench quota` runs on its own PostgreSQL with fsync on, or on DATABASE_URL, which must be an empty
database. Options: --seconds N, --rounds N, --apps N (0: skip the page queries), --only
throughput|race|crash|pages.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import django

CALLERS = 16
TARGET_CYCLES = 400
TARGET_RATIO = 0.5
TARGET_PAGE_MS = 50


def main() -> int:
    parser = argparse.ArgumentParser(prog="bin/bench quota", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--apps", type=int, default=10_000)
    parser.add_argument("--only", choices=["throughput", "race", "crash", "pages"])
    options = parser.parse_args()
    if "DATABASE_URL" not in os.environ:
        return _again_with_services()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "facecloud.settings")
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False)
    steps: dict[str, Callable[[], bool]] = {
        "throughput": lambda: throughput(options.seconds),
        "race": race,
        "crash": lambda: crash(options.rounds),
        "pages": lambda: pages(options.apps),
    }
    chosen = [options.only] if options.only else list(steps)
    passed = [steps[name]() for name in chosen]
    return 0 if all(passed) else 1


def _again_with_services() -> int:
    """Run this command again with a durable PostgreSQL for its duration."""
    from embedded.environment import KEYS, secret_values
    from embedded.paths import Paths
    from embedded.services.pair import Services

    with tempfile.TemporaryDirectory(prefix="facecloud-bench-") as var:
        paths = Paths(Path(var))
        paths.make()
        with Services.of(paths).running() as addresses:
            environment = {**os.environ, **addresses, **secret_values(paths.secrets, KEYS)}
            environment["FACECLOUD_VAR_DIR"] = var
            return subprocess.run(
                [sys.executable, "-m", "bench.postgresql.quota", *sys.argv[1:]], env=environment
            ).returncode


def throughput(seconds: float) -> bool:
    """Measure reserve + settle cycles per second on one App, relative to a bare UPDATE ... RETURNING."""
    from django.db import connection
    from django.utils import timezone

    from bench.postgresql import races
    from billing import quota
    from billing.models import Period
    from billing.models.catalogue import MAX_UNITS
    from faceapi.answers import FLUSH_EVERY_S

    app = races.buy(races.customer_of("hot"), units=MAX_UNITS, at=timezone.now())
    with connection.cursor() as cursor:
        cursor.execute("SHOW fsync")
        fsync = cursor.fetchone()[0]
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS bare (id int PRIMARY KEY, used bigint) WITH (fillfactor = 50)"
        )
        cursor.execute("INSERT INTO bare VALUES (1, 0) ON CONFLICT DO NOTHING")
    period = Period.objects.get(app=app)

    sent: dict[UUID, int] = {}
    confirmed_at = time.monotonic()

    def cycle() -> None:
        """Reserve and settle as the web process does: answers are confirmed later, in batches."""
        nonlocal confirmed_at
        call_id = uuid4()
        races.take(app, call_id, 1, timezone.now())
        sent[call_id] = 1
        if time.monotonic() - confirmed_at > FLUSH_EVERY_S:
            quota.confirm(sent)
            sent.clear()
            confirmed_at = time.monotonic()

    def bare() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE bare SET used = used + 1 WHERE id = 1 AND used < 2000000000 RETURNING used"
            )
            cursor.fetchone()

    # In alternation, so that other load affects both equally.
    rates: dict[str, list[float]] = {"cycle": [], "bare": []}
    for _turn in range(3):
        rates["bare"].append(_rate(bare, seconds / 3))
        rates["cycle"].append(_rate(cycle, seconds / 3))
    cycles, bares = statistics.median(rates["cycle"]), statistics.median(rates["bare"])
    period.refresh_from_db()
    print(f"fsync {fsync}, {CALLERS} processes on one App")
    print(f"reserve + settle      {cycles:7.0f} /s   (target {TARGET_CYCLES})")
    print(f"bare UPDATE RETURNING {bares:7.0f} /s   ratio {cycles / bares:.2f} (target {TARGET_RATIO})")
    return cycles >= TARGET_CYCLES and cycles / bares >= TARGET_RATIO


def _rate(call: Callable[[], None], seconds: float) -> float:
    """Return the calls per second of CALLERS processes together."""
    from bench.postgresql.races import Forked

    def work(say: Callable[[str], None]) -> None:
        call()
        say("ready")
        count, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            call()
            count += 1
        say(str(count))

    started = [Forked(work) for _i in range(CALLERS)]
    counts = [child.lines()[-1] for child in started]
    for child in started:
        child.end()
    return sum(map(int, counts)) / seconds


def race() -> bool:
    """Race 50 processes for the remaining units of one App."""
    from django.utils import timezone

    from bench.postgresql import races
    from billing import quota

    at = timezone.now()
    app = races.buy(races.customer_of("racer"), units=701, at=at)
    races.buy(races.customer_of("racer"), units=300, at=at, app=app)
    served = races.race(app, processes=50, calls_each=30, units=1, at=at)
    left = quota.remaining(app, races.API, at)
    breaks = _breaks()
    print(f"race: 1500 calls of 50 processes on 1001 units: {served} served, {left} left, {breaks} breaks")
    return served == 1001 and left == 0 and breaks == 0


def crash(rounds: int) -> bool:
    """Kill processes in the middle of calls, then run the sweep and the reconciliation."""
    from django.utils import timezone

    from bench.postgresql import races
    from billing import quota

    at = timezone.now()
    app = races.buy(races.customer_of("crasher"), units=1_000_000, at=at)
    seen = races.crash_rounds(app, rounds=rounds, seed=4)
    used = 1_000_000 - quota.remaining(app, races.API, timezone.now())
    breaks = _breaks()
    print(f"crash: {seen}, {used} units used, {breaks} breaks")
    return seen.killed == rounds and breaks == 0 and seen.answered_units <= used


def pages(apps: int) -> bool:
    """Run the queries of the console's pages on a full database."""
    from bench.postgresql import populate

    if not apps:
        return True
    populate.populate(apps=apps, orders=apps * 10, debits=apps * 100)
    return populate.measure(TARGET_PAGE_MS) and _breaks() == 0


def _breaks() -> int:
    from django.utils import timezone

    from billing.books import reconcile

    started = time.monotonic()
    proofs = reconcile.prove(reconcile.CHECKS, timezone.now())
    for proof in proofs:
        for broken in proof.breaks[:5]:
            print("BREAK", proof.sentence, broken)
    print(f"reconcile: {len(proofs)} checks in {time.monotonic() - started:.1f} s")
    return sum(len(proof.breaks) for proof in proofs)


if __name__ == "__main__":
    sys.exit(main())
