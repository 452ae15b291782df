"""Latency histograms with fixed, roughly logarithmic buckets: pure functions over lists of counts.

Slot i counts the times in (BOUNDS_MS[i-1], BOUNDS_MS[i]]; the last slot counts all longer times. The bounds
are part of what is stored: changing them needs a migration of UsageHour.
"""

from bisect import bisect_left
from collections.abc import Sequence

BOUNDS_MS = (
    1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80,
    100, 120, 150, 200, 250, 300, 400, 500, 600, 800,
    1000, 1200, 1500, 2000, 2500, 3000, 4000, 5000, 6000, 8000,
    10_000, 12_000, 15_000, 20_000, 25_000, 30_000, 40_000, 50_000, 60_000, 80_000,
    100_000, 120_000, 150_000, 200_000, 250_000, 300_000,
)  # fmt: skip
SLOTS = len(BOUNDS_MS) + 1


def slot(value_ms: int) -> int:
    """Return the index of the slot that counts `value_ms`."""
    return bisect_left(BOUNDS_MS, value_ms)


def percentile(counts: Sequence[int], share: float) -> float | None:
    """Return the percentile `share` (0-1) in ms, interpolated; None without calls."""
    calls = sum(counts)
    if not calls:
        return None
    rank, seen = share * calls, 0
    for index, count in enumerate(counts):
        if count and seen + count >= rank:
            low = BOUNDS_MS[index - 1] if index else 0
            high = BOUNDS_MS[index] if index < len(BOUNDS_MS) else BOUNDS_MS[-1]
            return low + (high - low) * max(0.0, rank - seen) / count
        seen += count
    return float(BOUNDS_MS[-1])
