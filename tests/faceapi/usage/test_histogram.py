"""Latency histograms: slots and percentiles against the exact values."""

from hypothesis import given
from hypothesis import strategies as st

from faceapi.usage import histogram
from faceapi.usage.histogram import BOUNDS_MS, SLOTS


def counted(values_ms: list[int]) -> list[int]:
    counts = [0] * SLOTS
    for value in values_ms:
        counts[histogram.slot(value)] += 1
    return counts


def test_a_slot_includes_its_upper_bound() -> None:
    assert histogram.slot(0) == 0
    assert [histogram.slot(bound) for bound in BOUNDS_MS] == list(range(len(BOUNDS_MS)))
    assert histogram.slot(BOUNDS_MS[-1] + 1) == SLOTS - 1


def test_the_percentile_of_no_calls_is_none() -> None:
    assert histogram.percentile([0] * SLOTS, 0.5) is None


@given(st.lists(st.integers(0, BOUNDS_MS[-1]), min_size=1), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_is_in_the_slot_of_the_exact_one(values_ms: list[int], share: float) -> None:
    ordered = sorted(values_ms)
    exact = ordered[max(0, -(-int(share * 100) * len(ordered) // 100) - 1)]
    found = histogram.percentile(counted(values_ms), share)
    assert found is not None
    index = histogram.slot(exact)
    low = BOUNDS_MS[index - 1] if index else 0
    assert low <= found <= BOUNDS_MS[index]
