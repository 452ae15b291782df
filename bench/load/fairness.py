"""Latency of one customer's single calls while another customer sends batches: `bin/bench fairness`.

Everything is real, as in `bin/bench service`. A second customer's single calls (one small picture, one after
the other) are timed alone, and then while the first customer sends eight concurrent calls, in alternation:
calls of 100 small pictures or, with `--heavy`, of 12 pictures of noise, on which the detector spends about a
hundred times as much as their size suggests. Reports the ratio of the 95th percentiles, as the median of the
rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from bench.engine.speed import sample_pictures
from bench.load.overload import percentile
from bench.load.service import Caller, Site, running_site, show
from embedded.paths import REPOSITORY

HEAVY_SIDE_PX = 1000
HEAVY_IMAGES = 12  # fewer than a batch has

_SECOND = """
import json, uuid
import django
django.setup()
from django.utils import timezone
from accounts import keys
from accounts.models import Region, User
from billing import orders
from billing.models import Sku, Tier
at = timezone.now()
user = User.objects.create(username=uuid.uuid4().hex, email=f"{uuid.uuid4().hex}@example.org")
sku = Sku.objects.get(api="face_detect", tier=Tier.HUNDRED_THOUSAND)
region = Region.objects.filter(is_active=True).first()
request = orders.OrderRequest(sku, 9, 1, region=region, name="second", description="bench")
order = orders.create(user, request, token=uuid.uuid4().hex, at=at)
key = orders.pay(order, at).app.keys.get()
print(json.dumps([key.key, keys.secret_of(key)]))
"""


def second_customer(site: Site) -> Site:
    """Create a second customer, and return the site with that customer's keys."""
    made = subprocess.run(
        [sys.executable, "-c", _SECOND],
        env=site.environment,
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    )
    key, secret = json.loads(made.stdout.strip().splitlines()[-1])
    return replace(site, app_key=key, secret=secret)


def singles(site: Site, picture: bytes, seconds: float) -> list[float]:
    """Return the latencies in milliseconds of single calls with a pause after each."""
    caller, times = Caller(site, [picture]), []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        caller()
        times.append((time.perf_counter() - started) * 1000)
        time.sleep(0.05)
    return times


def noise() -> bytes:
    """Return a picture on which the detector spends as much time as possible."""
    pixels = np.random.default_rng(1).integers(0, 256, (HEAVY_SIDE_PX, HEAVY_SIDE_PX, 3), dtype=np.uint8)
    return bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])


def one_round(
    first: Site, second: Site, picture: bytes, batch: list[bytes], batches: int, seconds: float
) -> dict[str, Any]:
    """Time single calls without and with batches of another customer."""
    usual = singles(second, picture, seconds)
    ended = threading.Event()

    def push() -> int:
        caller, done = Caller(first, batch), 0
        while not ended.is_set():
            caller()
            done += len(batch)
        return done

    with ThreadPoolExecutor(batches) as pool:
        pushed = [pool.submit(push) for _ in range(batches)]
        time.sleep(2)
        beside = singles(second, picture, seconds)
        ended.set()
        images = sum(future.result() for future in pushed)
    return {
        "usual_p50_ms": percentile(usual, 0.5),
        "usual_p95_ms": percentile(usual, 0.95),
        "beside_p50_ms": percentile(beside, 0.5),
        "beside_p95_ms": percentile(beside, 0.95),
        "calls_beside": len(beside),
        "batch_images": images,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="bin/bench fairness", description=__doc__.partition("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each side of a round")
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--heavy", action="store_true", help="calls of a few expensive pictures")
    arguments = parser.parse_args()
    picture = sample_pictures(REPOSITORY / "var" / "models")["250x250"]
    batch = [noise()] * HEAVY_IMAGES if arguments.heavy else [picture] * 100
    with running_site() as first:
        second = second_customer(first)
        rounds = [
            one_round(first, second, picture, batch, arguments.batches, arguments.seconds)
            for _ in range(arguments.rounds)
        ]
    for row in rounds:
        show({name: round(value, 1) for name, value in row.items()})
    times = statistics.median(row["beside_p95_ms"] / row["usual_p95_ms"] for row in rounds)
    show(
        {
            "load": f"beside {arguments.batches} calls of {len(batch)}{' heavy pictures' * arguments.heavy}",
            "p95_times": round(times, 2),
            "target_times": 3,
        }
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
