"""Monotone maps fitted on data, kept as JSON in calibration/; bench/fit.py makes them."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).parent / "calibration"


@cache
def load(name: str) -> dict[str, Any]:
    """One table of calibration/ by its name, read once."""
    table: dict[str, Any] = json.loads((DIRECTORY / f"{name}.json").read_text())
    return table


@dataclass(frozen=True, slots=True)
class MonotoneMap:
    """Straight lines between points that rise; flat outside them."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]

    @classmethod
    def from_points(cls, points: Sequence[Sequence[float]]) -> MonotoneMap:
        xs, ys = zip(*points, strict=True)
        if any(b <= a for a, b in pairwise(xs)):
            raise ValueError("the points of a map must rise in x")
        if any(b < a for a, b in pairwise(ys)):
            raise ValueError("the points of a map must not fall in y")
        return cls(tuple(xs), tuple(ys))

    def __call__(self, x: float) -> float:
        if x <= self.xs[0]:
            return self.ys[0]
        if x >= self.xs[-1]:
            return self.ys[-1]
        i = bisect_right(self.xs, x)
        x0, x1, y0, y1 = self.xs[i - 1], self.xs[i], self.ys[i - 1], self.ys[i]
        return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
