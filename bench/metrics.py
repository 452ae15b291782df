"""Metrics of the benchmarks: pure functions of arrays."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from inference.results import Face

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.intp]


def stranger_cosines(vectors: Floats, person: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
    """Return the cosine of each pair of unit rows (N, D) with different persons (N,).

    Computed row by row, without a list of pairs: 30 million pairs take 120 MB.
    """
    rows = [
        (vectors[i + 1 :] @ vectors[i])[person[i + 1 :] != person[i]].astype(np.float32)
        for i in range(len(vectors))
    ]
    return np.concatenate(rows) if rows else np.empty(0, np.float32)


def stranger_pairs(person: npt.NDArray[np.intp]) -> int:
    """Return the number of pairs of rows with different persons (N,)."""
    counts = np.bincount(person)
    return int(len(person) * (len(person) - 1) - (counts * (counts - 1)).sum()) // 2


def threshold_at(impostors: Floats, far: float) -> float:
    """Return the lowest threshold that at most the share `far` of the impostors reaches."""
    ordered = np.sort(impostors)[::-1]
    allowed = int(far * len(ordered))
    return float(np.nextafter(ordered[allowed], np.inf)) if allowed < len(ordered) else -np.inf


def accepted(scores: Floats, threshold: float) -> float:
    """Return the share of scores that reach the threshold: TAR for genuine pairs, FAR for impostors."""
    return float(np.mean(scores >= threshold)) if len(scores) else float("nan")


def area_under_curve(genuine: Floats, impostors: Floats) -> float:
    """Return the probability that a genuine pair scores above an impostor pair; ties count half."""
    ordered = np.sort(impostors)
    below = np.searchsorted(ordered, genuine, "left")
    up_to = np.searchsorted(ordered, genuine, "right")
    return float((below + up_to).mean() / 2 / len(ordered))


def best_threshold(scores: Floats, same: Flags) -> float:
    """Return the threshold with the most correct decisions; the middle one if there are several."""
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum(np.where(same[order], 1, -1))
    best = np.flatnonzero(right == right.max())
    index = best[len(best) // 2]
    ordered = scores[order]
    following = ordered[index + 1] if index + 1 < len(ordered) else ordered[index] - 1
    return float((ordered[index] + following) / 2)


def fold_accuracies(scores: Floats, same: Flags, folds: int = 10, seed: int = 0) -> Floats:
    """Return the accuracy in each fold, at the threshold that is best on the other folds.

    Genuine and impostor pairs are distributed evenly over the folds.
    """
    fold = np.empty(len(scores), np.intp)
    order = np.random.default_rng(seed)
    for kind in (True, False):
        members = order.permutation(np.flatnonzero(same == kind))
        fold[members] = np.arange(len(members)) % folds
    return np.array(
        [
            np.mean(
                (scores[fold == k] >= best_threshold(scores[fold != k], same[fold != k])) == same[fold == k]
            )
            for k in range(folds)
        ]
    )


def corners(faces: Iterable[Face]) -> Floats:
    """Return the boxes of faces (N, 4) as left, top, right, bottom."""
    boxes = [face.box for face in faces]
    rows = [(box.left, box.top, box.left + box.width, box.top + box.height) for box in boxes]
    return np.array(rows, float).reshape(-1, 4)


def match(boxes: Floats, truth: Floats, overlap: float = 0.5) -> tuple[npt.NDArray[np.intp], Flags]:
    """Match detections, best first, with the true boxes (N, 4): left, top, right, bottom.

    Returns for each detection the index of its true box, or -1, and for each true box whether it was found.
    """
    partner = np.full(len(boxes), -1, np.intp)
    found = np.zeros(len(truth), np.bool_)
    for index, box in enumerate(boxes):
        if not len(truth):
            break
        sides = np.clip(np.minimum(box[2:], truth[:, 2:]) - np.maximum(box[:2], truth[:, :2]), 0, None)
        shared = sides.prod(axis=1)
        union = np.prod(box[2:] - box[:2]) + np.prod(truth[:, 2:] - truth[:, :2], axis=1) - shared
        ious = np.where(found, -1, shared / np.maximum(union, 1e-9))
        best = int(np.argmax(ious))
        if ious[best] >= overlap:
            partner[index], found[best] = best, True
    return partner, found


def reliability(probabilities: Floats, outcomes: Flags, bins: int = 10) -> list[tuple[float, float, int]]:
    """Return (mean probability, share of positives, count) of each non-empty bin of equal width."""
    bin_of = np.minimum((probabilities * bins).astype(int), bins - 1)
    return [
        (
            float(probabilities[bin_of == k].mean()),
            float(outcomes[bin_of == k].mean()),
            int((bin_of == k).sum()),
        )
        for k in range(bins)
        if (bin_of == k).any()
    ]


def calibration_error(probabilities: Floats, outcomes: Flags, bins: int = 10) -> float:
    """Return the expected calibration error: the mean gap in each bin, weighted by its count."""
    if not len(probabilities):
        return float("nan")
    rows = reliability(probabilities, outcomes, bins)
    return sum(abs(promise - outcome) * count for promise, outcome, count in rows) / len(probabilities)


def isotonic(x: Floats, y: Floats, weights: Floats | None = None) -> tuple[Floats, Floats, Floats]:
    """Pool adjacent violators: (mean x, value, weight) of each block of the best rising step function."""
    order = np.argsort(x, kind="stable")
    weights = np.ones(len(x)) if weights is None else weights
    blocks: list[list[float]] = []
    for xi, yi, wi in zip(x[order], y[order], weights[order], strict=True):
        blocks.append([xi * wi, yi * wi, wi])
        while len(blocks) > 1 and blocks[-2][1] / blocks[-2][2] >= blocks[-1][1] / blocks[-1][2]:
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    table = np.array(blocks)
    return table[:, 0] / table[:, 2], table[:, 1] / table[:, 2], table[:, 2]
