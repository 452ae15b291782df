"""Fit the cohort, the published map and the table by group: a part of `bin/bench fit`.

The pairs of similar-looking strangers that define the map are scored with cohorts that contain neither face,
because a face must not be compared with a cohort that it is part of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from bench import datasets, metrics
from bench.datasets import Member
from bench.output import progress
from bench.strangers import Pairs, look_alikes, rates_by_group, threshold_at
from inference.calibration.cohort import Cohort, Quality
from inference.pipeline.engine import Engine

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.intp]

PRIMARY_WEIGHT = 0.6
# k-means starts with CENTROIDS. A centroid of fewer than LEAST_FACES faces is dropped, so that no centroid
# resembles one person.
CENTROIDS, LEAST_FACES, TOP = 64, 24, 3
QUALITY_WEIGHT, QUALITY_LIMIT = 0.1, 2.0
# The offsets of the centroids are fitted at this false-accept rate. OFFSET_STEP is about the change in
# similarity for a factor of ten in the rate, times the gain.
OFFSET_RATE, OFFSET_STEP, OFFSET_ROUNDS, OFFSET_PRIOR_PAIRS = 0.03, 0.3, 3, 30
FOLDS, SPLITS = 5, 4
LEAST_ADULT_PAIRS = 4000
# The rates between which the tail of the map is fitted.
TAIL = (1e-3, 1e-2)
BEST_MARGIN = 0.1
PUBLISHED = (60.0, 70.0, 80.0)


@dataclass(frozen=True, slots=True)
class Faces:
    """Embeddings of N faces, as returned by the embedder, and the number of the person of each (N,)."""

    primary: Floats
    secondary: Floats
    lengths: Floats
    person: Numbers

    def __getitem__(self, kept: Numbers) -> Faces:
        return Faces(self.primary[kept], self.secondary[kept], self.lengths[kept], self.person[kept])


@dataclass(frozen=True, slots=True)
class Space:
    """The weights of the two embeddings in the fused similarity."""

    parts: dict[str, dict[str, float]]

    @property
    def zero(self) -> float:
        return -sum(part["weight"] * part["mean"] / part["deviation"] for part in self.parts.values())

    def fused(self, faces: Faces) -> Floats:
        vectors = (faces.primary, faces.secondary)
        scales = [np.sqrt(part["weight"] / part["deviation"]) for part in self.parts.values()]
        return np.concatenate([rows * scale for rows, scale in zip(vectors, scales, strict=True)], axis=1)


def embedded(
    pictures: Sequence[bytes], people: Sequence[str], engine: Engine, what: str
) -> tuple[Faces, Numbers]:
    """Embed the largest face of each picture; also return the indices of the pictures that have one."""
    rows, kept = [], []
    for number, data in enumerate(progress(pictures, what)):
        chips = engine.prepare_embedding(data).chips
        if chips is not None:
            rows.append(engine.embedder.embed([chips]))
            kept.append(number)
    primary, secondary, _, lengths = (np.concatenate(column) for column in zip(*rows, strict=True))
    return Faces(primary, secondary, lengths, np.unique(people, return_inverse=True)[1][kept]), np.array(
        kept, np.intp
    )


def space_of(strangers: Faces) -> Space:
    """Fit the mean and the deviation of both cosines over pairs of different people."""
    parts = {}
    for name, weight in (("primary", PRIMARY_WEIGHT), ("secondary", 1 - PRIMARY_WEIGHT)):
        cosines = metrics.stranger_cosines(getattr(strangers, name), strangers.person)
        mean, deviation = (
            round(float(value), 5) for value in (cosines.mean(dtype=float), cosines.std(dtype=float))
        )
        parts[name] = {"mean": mean, "deviation": deviation, "weight": round(weight, 3)}
    return Space(parts)


# --- The cohort


def centroids_of(rows: Floats) -> tuple[Floats, Numbers]:
    """Cluster rows (N, D) by k-means.

    Returns centroids of at least LEAST_FACES rows, and the index of each row's centroid.
    """
    count = max(1, min(CENTROIDS, len(rows) // LEAST_FACES))
    criteria = (cv2.TERM_CRITERIA_MAX_ITER, 50, 0.0)
    cv2.setRNGSeed(1)
    _, _, found = cv2.kmeans(rows.astype(np.float32), count, None, criteria, 8, cv2.KMEANS_PP_CENTERS)
    centres = found.astype(np.float64)
    while True:
        owner = (rows @ centres.T - (centres**2).sum(axis=1) / 2).argmax(axis=1)
        sizes = np.bincount(owner, minlength=len(centres))
        if sizes.min() >= LEAST_FACES or len(centres) == 1:
            break
        centres = np.delete(centres, sizes.argmin(), axis=0)
    centres = np.stack([rows[owner == number].mean(axis=0) for number in range(len(centres))])
    return centres, owner


def cohort_of(space: Space, faces: Faces, pairs: Pairs) -> tuple[Cohort, Numbers]:
    """Fit a cohort on faces and their look-alike pairs; also return the number of faces of each centroid.

    The offset of a centroid is raised as long as faces near it are accepted more often than others. Each face
    is left out of its own centroid for this.
    """
    rows = space.fused(faces)
    centres, owner = centroids_of(rows)
    sizes = np.bincount(owner)
    log_lengths = np.log(faces.lengths)
    quality = Quality(
        round(float(log_lengths.mean()), 4), round(float(log_lengths.std()), 4), QUALITY_WEIGHT, QUALITY_LIMIT
    )
    alike = rows @ centres.T
    own = np.arange(len(rows)), owner
    alike[own] = (alike[own] * sizes[owner] - (rows**2).sum(axis=1)) / (sizes[owner] - 1)
    raw = (rows[pairs.first] * rows[pairs.second]).sum(axis=1)
    weights = pairs.weights()
    offsets = np.zeros(len(centres))
    for _ in range(OFFSET_ROUNDS if len(pairs) else 0):
        constants = np.sort(alike + offsets, axis=1)[:, -TOP:].mean(axis=1) + quality(faces.lengths)
        scores = raw - (constants[pairs.first] + constants[pairs.second]) / 2
        passed = scores >= threshold_at(scores, weights, OFFSET_RATE)
        seen = np.bincount(owner[pairs.first], minlength=len(centres)) + np.bincount(
            owner[pairs.second], minlength=len(centres)
        )
        hits = np.bincount(owner[pairs.first[passed]], minlength=len(centres)) + np.bincount(
            owner[pairs.second[passed]], minlength=len(centres)
        )
        offsets += OFFSET_STEP * np.log10(
            (hits / OFFSET_RATE + OFFSET_PRIOR_PAIRS) / (seen + OFFSET_PRIOR_PAIRS)
        )
    return Cohort(centres, offsets, TOP, quality), sizes


def scores_of(space: Space, cohort: Cohort, faces: Faces, first: Numbers, second: Numbers) -> Floats:
    """Return the normalised similarity of pairs."""
    rows = space.fused(faces)
    nearest = np.sort(rows @ cohort.centroids.T + cohort.offsets, axis=1)[:, -cohort.top :].mean(axis=1)
    constants = nearest + space.zero + cohort.quality(faces.lengths)
    return np.asarray(
        (rows[first] * rows[second]).sum(axis=1) + space.zero - (constants[first] + constants[second]) / 2
    )


def held_out_scores(space: Space, faces: Faces, members: Sequence[Member], pairs: Pairs, seed: int) -> Floats:
    """Return the similarity of pairs, each with a cohort fitted without the people of the pair."""
    people, owner = np.unique(faces.person, return_inverse=True)
    fold = (np.random.default_rng(seed).permutation(len(people)) % FOLDS)[owner]
    scores = np.empty(len(pairs))
    for low in range(FOLDS):
        for high in range(low, FOLDS):
            chosen = (np.minimum(fold[pairs.first], fold[pairs.second]) == low) & (
                np.maximum(fold[pairs.first], fold[pairs.second]) == high
            )
            kept = np.flatnonzero((fold != low) & (fold != high))
            inside = Faces(
                faces.primary[kept], faces.secondary[kept], faces.lengths[kept], faces.person[kept]
            )
            cohort, _ = cohort_of(space, inside, look_alikes([members[number] for number in kept]))
            scores[chosen] = scores_of(space, cohort, faces, pairs.first[chosen], pairs.second[chosen])
    return scores


# --- The published map


def published_map(scores: Floats, weights: Floats, best: float) -> list[list[float | None]]:
    """Return rows of (similarity, confidence, false-accept rate), confidence = 30 - 10 log10 of the rate.

    Down to 1 % the rates are quantiles of the look-alike pairs. Below, log10 of the rate is a straight line
    over the similarity, fitted in TAIL, where there are many pairs, so that mislabelled pairs do not
    determine it. Above confidence 80 there is no rate: the map rises linearly to 100 at `best`, which is more
    than two pictures of the same person reach.
    """
    rates = np.geomspace(*TAIL, 21)
    heights = [threshold_at(scores, weights, rate) for rate in rates]
    slope, start = np.polyfit(np.log10(rates), heights, 1)
    rows: list[list[float | None]] = [[float(scores.min()) - 1, 0.0, 1.0]]
    for far in (0.9, 0.5, 0.2, 0.1, 0.03):
        rows.append([threshold_at(scores, weights, far), 30 - 10 * np.log10(far), far])
    for far in (1e-2, 1e-3, 1e-4, 1e-5):
        rows.append([float(start + slope * np.log10(far)), 30 - 10 * np.log10(far), far])
    rows.append([best, 100.0, None])
    return [[None if value is None else float(f"{value:.6g}") for value in row] for row in rows]


# --- The fit


def fit(data: Path, engine: Engine) -> dict[str, dict[str, Any]]:
    """Fit the tables `cohort` and `confidence`; also return the rates by group for the model card."""
    pictures = sorted({path for pair in datasets.pairs(data) for path in (pair.first, pair.second)})
    people = [datasets.person(path) for path in pictures]
    strangers, _ = embedded([path.read_bytes() for path in pictures], people, engine, "verification")
    members = datasets.cohort(data)
    files = [datasets.padded_png(member.path) for member in members]
    faces, kept = embedded(files, [member.person for member in members], engine, "cohort")
    found = tables_of(strangers, faces, [members[number] for number in kept])
    found["cohort"]["data"] = data_digest(data)
    return found


def accepted_pairs(space: Space, cohort: Cohort, faces: Faces, points: list[Any]) -> list[dict[str, Any]]:
    """Return the share of same-person and of different-person pairs at each published confidence."""
    first, second = np.triu_indices(len(faces.person), 1)
    confidences = np.interp(
        scores_of(space, cohort, faces, first, second), [row[0] for row in points], [row[1] for row in points]
    )
    same = faces.person[first] == faces.person[second]
    return [
        {
            "name": name,
            "pairs": int(chosen.sum()),
            "rates": [float(f"{(confidences[chosen] >= at).mean():.3g}") for at in PUBLISHED],
        }
        for name, chosen in (("same", same), ("different", ~same))
    ]


def data_digest(data: Path) -> str:
    """Return the SHA-256 of the list of faces that a cohort was fitted on."""
    return hashlib.sha256((data / "cohort" / "labels.csv").read_bytes()).hexdigest()


def tables_of(strangers: Faces, faces: Faces, members: Sequence[Member]) -> dict[str, dict[str, Any]]:
    """Fit the scale on embeddings of `strangers`, and the rest on `faces` of the cohort."""
    space = space_of(strangers)
    pairs = look_alikes(members)
    if pairs.adult.sum() < LEAST_ADULT_PAIRS:
        raise SystemExit(
            f"cohort: {pairs.adult.sum()} look-alike pairs of adults are too few for a "
            f"rate of 1 in 1 000; {LEAST_ADULT_PAIRS} are needed (25 faces in each of 15 such cells)."
        )
    cohort, sizes = cohort_of(space, faces, pairs)
    # (SPLITS, pairs): the tail depends on the split into folds, so several random splits are pooled.
    scores = np.array([held_out_scores(space, faces, members, pairs, split) for split in range(SPLITS)])
    adults = pairs.adult
    weights = pairs[adults].weights()
    itself = np.arange(len(strangers.person))
    best = float(scores_of(space, cohort, strangers, itself, itself).max()) + BEST_MARGIN
    points = published_map(scores[:, adults].ravel(), np.tile(weights, SPLITS), best)
    confidences = np.interp(scores, [row[0] for row in points], [row[1] for row in points])
    groups = rates_by_group(pairs, np.array([(confidences >= at).mean(axis=0) for at in PUBLISHED]))
    print(
        f"cohort: {len(sizes)} centroids of {sizes.min()} to {sizes.max()} faces, {len(faces.person)} in all"
    )
    for confidence in PUBLISHED:
        reached = (confidences[:, adults] >= confidence).mean(axis=0)
        print(
            f"confidence {confidence:.0f}: {weights @ reached / weights.sum():.2e} of {adults.sum()} "
            f"held-out look-alike pairs of adults ({reached.sum():.1f})"
        )
    return {
        "cohort": {
            "faces": sizes.tolist(),
            "top": TOP,
            "quality": asdict(cohort.quality),
            "offsets": cohort.offsets.round(4).tolist(),
            "centroids": cohort.centroids.round(4).tolist(),
        },
        "confidence": {"embeddings": space.parts, "points": points},
        "card": {"strangers": groups, "verification": accepted_pairs(space, cohort, strangers, points)},
    }
