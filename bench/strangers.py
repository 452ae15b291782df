"""Similar-looking strangers: pairs of different people of the same gender, age group and ethnic group.

The functions select the pairs and compute how often they are accepted, by group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.datasets import Member

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]

AGE_GROUPS = ((0, 5), (6, 15), (16, 29), (30, 59), (60, 200))
ADULT = 16
RESAMPLES = 200
# Cells with fewer pairs are ignored, and groups with fewer pairs are not reported.
LEAST_CELL_PAIRS, LEAST_PAIRS = 30, 300


def age_group(age: int) -> str:
    """Return the name of the age group: 0-5, 6-15, 16-29, 30-59, 60+."""
    low, high = next(bounds for bounds in AGE_GROUPS if bounds[0] <= age <= bounds[1])
    return f"{low}-{high}" if high < 100 else f"{low}+"


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of members by index (P,), and the labels (P,) that both members of a pair have in common."""

    members: Sequence[Member]
    first: Numbers
    second: Numbers
    age: npt.NDArray[np.str_]
    gender: npt.NDArray[np.str_]
    group: npt.NDArray[np.str_]
    adult: Flags

    @classmethod
    def of(cls, members: Sequence[Member], first: Numbers, second: Numbers) -> Pairs:
        age = np.array([age_group(member.age) for member in members])
        return cls(
            members,
            first,
            second,
            age[first],
            np.array([member.gender for member in members])[first],
            np.array([member.group for member in members])[first],
            np.array([member.age >= ADULT for member in members])[first],
        )

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, chosen: Flags) -> Pairs:
        return Pairs.of(self.members, self.first[chosen], self.second[chosen])

    def weights(self) -> Floats:
        """Return a weight for each pair, so that every age group, gender and ethnic group has the same total.

        Computed by iterative proportional fitting.
        """
        weight = np.ones(len(self))
        for _ in range(50):
            for labels in (self.age, self.gender, self.group):
                _, index = np.unique(labels, return_inverse=True)
                sums = np.bincount(index, weight)
                weight /= (sums * len(sums))[index]
        return weight


def look_alikes(members: Sequence[Member]) -> Pairs:
    """Return all pairs of different people of the same gender, age group and ethnic group (a cell)."""
    cells = np.unique(
        [f"{age_group(member.age)} {member.gender} {member.group}" for member in members], return_inverse=True
    )[1]
    _, person = np.unique([member.person for member in members], return_inverse=True)
    first, second = np.triu_indices(len(members), 1)
    chosen = (cells[first] == cells[second]) & (person[first] != person[second])
    sizes = np.bincount(cells[first[chosen]], minlength=cells.max() + 1)
    chosen &= sizes[cells[first]] >= LEAST_CELL_PAIRS
    return Pairs.of(members, first[chosen], second[chosen])


def same_person(members: Sequence[Member]) -> Pairs:
    """Return all pairs that show the same person; a pair counts in the groups of its first picture."""
    _, person = np.unique([member.person for member in members], return_inverse=True)
    first, second = np.triu_indices(len(members), 1)
    chosen = person[first] == person[second]
    return Pairs.of(members, first[chosen], second[chosen])


def threshold_at(scores: Floats, weights: Floats, rate: float) -> float:
    """Return the score that the share `rate` of the weight reaches."""
    order = np.argsort(-scores)
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(scores[order][min(np.searchsorted(reached, rate), len(order) - 1)])


def rate_with_interval(accepted: Floats, pairs: Pairs, weights: Floats) -> tuple[float, float, float]:
    """Return the weighted mean of `accepted` (P,), and its 95 % confidence interval.

    The interval covers both Wilson's, for the number of pairs, and a bootstrap over people, since one face is
    in many pairs.
    """
    rate = float(weights @ accepted / weights.sum())
    effective = float(weights.sum() ** 2 / (weights**2).sum())
    low, high = wilson(rate, effective)
    people, owner = np.unique([member.person for member in pairs.members], return_inverse=True)
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(RESAMPLES):
        times = np.bincount(random.integers(len(people), size=len(people)), minlength=len(people))[owner]
        weight = weights * times[pairs.first] * times[pairs.second]
        if weight.sum() > 0:
            drawn.append(weight @ accepted / weight.sum())
    lowest, highest = np.quantile(drawn, [0.025, 0.975])
    return rate, min(low, float(lowest)), max(high, float(highest))


def wilson(rate: float, count: float, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a proportion observed in `count` trials."""
    centre = (rate + z * z / (2 * count)) / (1 + z * z / count)
    half = z * np.sqrt(rate * (1 - rate) / count + z * z / (4 * count**2)) / (1 + z * z / count)
    return max(0.0, float(centre - half)), float(centre + half)


def groups_of(pairs: Pairs) -> list[tuple[str, str, Flags]]:
    """Return (kind, name, mask of pairs) of every group. All but the age groups contain only adults."""
    found = [("age", name, pairs.age == name) for name in dict.fromkeys(map(age_group, (0, 6, 16, 30, 60)))]
    found.append(("adults", "adults", pairs.adult))
    found += [("gender", name, pairs.adult & (pairs.gender == name)) for name in np.unique(pairs.gender)]
    found += [("group", name, pairs.adult & (pairs.group == name)) for name in np.unique(pairs.group)]
    return [(kind, str(name), chosen) for kind, name, chosen in found if chosen.sum()]


def rates_by_group(pairs: Pairs, accepted: Floats) -> list[dict[str, Any]]:
    """Return a row for each group: faces, pairs, and a rate with interval for each row of `accepted` (R, P).

    Inside a group, the other labels have the same weight.
    """
    rows: list[dict[str, Any]] = []
    for kind, name, chosen in groups_of(pairs):
        if chosen.sum() < LEAST_PAIRS:
            continue
        inside = pairs[chosen]
        weights = inside.weights()
        rates = [rate_with_interval(reached[chosen], inside, weights) for reached in accepted]
        rows.append(
            {
                "kind": kind,
                "name": name,
                "faces": len(np.union1d(inside.first, inside.second)),
                "pairs": len(inside),
                "rates": [[round(value, 6) for value in rate] for rate in rates],
            }
        )
    return rows
