"""Fit the tables of inference/calibration/ on an evaluation folder: `bin/bench fit --data DIR`.

Every fit is small, regularised and judged by cross-validation, which is printed; the folder is a sample of
what the product will see, and its quirks must not end up in the tables.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import numpy.typing as npt

from bench import datasets, metrics
from bench.accuracy import templates
from bench.output import progress
from inference import finder, tables
from inference.alignment import Aligned
from inference.attributes import AttributeChips
from inference.decoding import Picture
from inference.engine import Engine
from inference.setup import ensure_models

Floats = npt.NDArray[np.float64]
PARTS = ("face_probability", "confidence", "attributes")
PRIMARY_WEIGHT = 0.6
AGE_RIDGE = 1000.0
GENDER_RIDGE = 30.0
OWN_RIDGE = 1.0
DEALS = 5
PLANES = 1024
SHAKES, SHAKE = 4, 0.04


def main() -> int:
    parser = argparse.ArgumentParser(prog="bin/bench fit", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--write", action="store_true", help="write the tables, not only print the fits")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    models_dir = Path(__file__).resolve().parent.parent / "var" / "models"
    ensure_models(models_dir)
    engine = Engine(models_dir)
    fits: dict[str, Callable[[Path, Engine], dict[str, Any]]] = {
        "face_probability": fit_face_probability,
        "confidence": fit_confidence,
        "attributes": fit_attributes,
    }
    for name in arguments.only or PARTS:
        table = {"version": f"{datetime.now(UTC):%Y-%m-%d}"} | fits[name](arguments.data, engine)
        if arguments.write:
            text = json.dumps(table, separators=(",", ":")).replace('],"', '],\n"').replace("},", "},\n")
            (tables.DIRECTORY / f"{name}.json").write_text(text + "\n")
    return 0


def logistic(features: Floats, truth: npt.NDArray[np.bool_], ridge: Floats) -> Floats:
    """Weights and, last, the bias of a ridge logistic regression, by Newton's method."""
    design = np.column_stack([features, np.ones(len(features))])
    penalty = np.diag(np.append(ridge, 1e-6))
    weights = np.zeros(design.shape[1])
    for _ in range(20):
        p = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        gradient = design.T @ (p - truth) + penalty @ weights
        weights -= np.linalg.solve((design * (p * (1 - p))[:, None]).T @ design + penalty, gradient)
    return weights


# --- face_probability
# ---------------------------------------------------------------------------------------------


def fit_face_probability(data: Path, engine: Engine) -> dict[str, Any]:
    """A logistic curve over the finder's score, on every candidate down to half of what is accepted."""
    scores, faces, folds = [], [], []
    for number, picture in enumerate(progress(datasets.boxed(data), "face_probability")):
        with mock.patch.object(finder, "ACCEPTED", finder.ACCEPTED / 2):
            found = engine.finder.find(Picture(picture.path.read_bytes()))
        order = np.argsort(-found.detections.scores)
        boxes = found.detections.boxes[order].astype(float) * found.reduction
        truth = np.array(picture.boxes, float).reshape(-1, 4)
        truth[:, 2:] += truth[:, :2]
        partner, _ = metrics.match(boxes, truth)
        for score, mate in zip(found.detections.scores[order], partner, strict=True):
            if mate < 0 or not picture.invalid[mate]:
                scores.append(float(score))
                faces.append(mate >= 0)
                folds.append(number % 5)
    score, face, fold = np.array(scores), np.array(faces), np.array(folds)
    promised = np.zeros(len(score))
    for k in range(5):
        weights = logistic(score[fold != k, None], face[fold != k], np.array([1e-3]))
        promised[fold == k] = _curve(score[fold == k], weights)
    served = score >= finder.ACCEPTED
    error = metrics.calibration_error(promised[served], face[served])
    print(f"face_probability: {len(score)} candidates, {face[served].mean():.3f} of those served are faces")
    print(f"    expected calibration error {error:.4f}, 5 folds by picture")
    weights = logistic(score[:, None], face, np.array([1e-3]))
    grid = np.round(np.arange(0.2, 1.001, 0.05), 2)
    return {
        "points": [[float(x), round(float(y), 4)] for x, y in zip(grid, _curve(grid, weights), strict=True)]
    }


def _curve(score: Floats, weights: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-(weights[0] * score + weights[1]))))


# --- confidence
# ---------------------------------------------------------------------------------------------------


def fit_confidence(data: Path, engine: Engine) -> dict[str, Any]:
    """Confidence = 30 + 10 for every tenfold rarer among strangers, by the fused similarity.

    Down to a FAR of 3e-3 the quantiles are read off; beyond, the tail is a straight line of log FAR over
    the similarity (it is, down to 1e-5), fitted between 3e-3 and 3e-5, so that no single odd pair sets an
    anchor.
    """
    _, found = templates(data, engine)
    paths = [path for path, template in found.items() if template.has_face]
    person = datasets.persons(paths)
    parts, fused = {}, np.zeros(metrics.stranger_pairs(person))
    top = 0.0
    for name, weight in (("primary", PRIMARY_WEIGHT), ("secondary", 1 - PRIMARY_WEIGHT)):
        vectors = np.array([getattr(found[path], name) for path in paths])
        cosines = metrics.stranger_cosines(vectors, person)
        mean, deviation = (
            round(float(cosines.mean(dtype=float)), 5),
            round(float(cosines.std(dtype=float)), 5),
        )
        parts[name] = {"mean": mean, "deviation": deviation, "weight": round(weight, 3)}
        fused += weight * (cosines - mean) / deviation
        top += weight * (1 - mean) / deviation
    rates = np.geomspace(3e-5, 3e-3, 21)
    slope, start = np.polyfit(np.log10(rates), [metrics.threshold_at(fused, rate) for rate in rates], 1)
    points = [[float(fused.min()) - 1, 0.0]]
    points += [
        [metrics.threshold_at(fused, far), 30 - 10 * np.log10(far)]
        for far in (0.9, 0.5, 0.2, 0.1, 0.03, 0.01)
    ]
    points += [[start + slope * np.log10(far), 30 - 10 * np.log10(far)] for far in (1e-3, 1e-4, 1e-5, 1e-6)]
    points.append([top - 1e-3, 100.0])
    for far, confidence in ((1e-3, 60), (1e-4, 70), (1e-5, 80)):
        threshold = start + slope * np.log10(far)
        print(
            f"confidence {confidence}: similarity {threshold:.3f}, FAR here "
            f"{metrics.accepted(fused, threshold):.2e} of {len(fused)} pairs"
        )
    return {"embeddings": parts, "points": [[round(x, 4), round(float(y), 3)] for x, y in points]}


# --- attributes
# ---------------------------------------------------------------------------------------------------


def fit_attributes(data: Path, engine: Engine) -> dict[str, Any]:
    """Two ridge regressions over the networks' features; every decade of age weighs the same.

    Each face is learnt from with its landmarks moved a little and in the mirror, and judged as it is.
    """
    rows, age_rows, gender_rows = [], [], []
    for row in progress(datasets.labelled(data), "attributes"):
        picture = Picture(datasets.padded_png(row.path))
        found = engine.finder.find(picture)
        if len(found.detections):
            face = engine.align(picture, found, 0)
            looks = [AttributeChips.cut(look) for look in _looks(face, len(rows))]
            age_features, gender_features = engine.attributes.features(looks)
            rows.append(row)
            age_rows.append(age_features)
            gender_rows.append(gender_features)
    age = np.array([row.age for row in rows], float)
    male = np.array([row.gender == "M" for row in rows])
    decade = np.minimum(age // 10, 9).astype(int)
    weights = 1 / np.bincount(decade)[decade]
    weights /= weights.mean()

    def age_head(chosen: npt.NDArray[np.bool_]) -> Floats:
        features, times = _stacked(ages[chosen])
        own = np.append(np.full(3, OWN_RIDGE), np.full(features.shape[1] - 3, AGE_RIDGE)) * times
        targets, weight = np.repeat(age[chosen], times), np.repeat(weights[chosen], times)
        return _on_raw_features(features, lambda scaled: _least_squares(scaled, targets, weight, own))

    def gender_head(chosen: npt.NDArray[np.bool_]) -> Floats:
        features, times = _stacked(genders[chosen])
        own = np.append(OWN_RIDGE, np.full(features.shape[1] - 1, GENDER_RIDGE)) * times
        targets = np.repeat(male[chosen], times)
        return _on_raw_features(features, lambda scaled: logistic(scaled, targets, own))

    ages, genders = np.array(age_rows), np.array(gender_rows)
    guessed, sign = np.zeros((DEALS, len(age))), np.zeros((DEALS, len(age)))
    for deal in range(DEALS):
        fold = np.empty(len(age), int)
        dealt = np.random.default_rng(deal)
        for k in np.unique(decade):
            members = dealt.permutation(np.flatnonzero(decade == k))
            fold[members] = (np.arange(len(members)) + dealt.integers(10)) % 10
        for k in range(10):
            inside = fold != k
            guessed[deal, ~inside] = _apply(ages[~inside, 0], age_head(inside))
            sign[deal, ~inside] = _apply(genders[~inside, 0], gender_head(inside))
    errors = np.abs(np.clip(guessed, 0, 100) - age)
    flat = np.mean([errors[:, decade == k].mean() for k in np.unique(decade)])
    right = (sign > 0) == male
    print(f"attributes: {len(age)} faces, 10 folds, {DEALS} deals")
    print(f"    age MAE flat {flat:.2f}, mean {errors.mean():.2f}")
    print(f"    gender {right.mean():.3f}, from 16 up {right[:, age >= 16].mean():.3f}")
    everyone = np.ones(len(age), bool)
    vectors = np.append(genders[:, 0, 1:], ages[:, 0, -PLANES:], axis=1).mean(axis=0).round(5).tolist()
    average = {"primary": vectors[:128], "secondary": vectors[128:256], "planes": vectors[256:]}
    return {"average": average} | {
        name: {"weights": [round(float(w), 6) for w in fitted[:-1]], "bias": round(float(fitted[-1]), 6)}
        for name, fitted in (("age", age_head(everyone)), ("gender", gender_head(everyone)))
    }


def _looks(face: Aligned, seed: int) -> list[Aligned]:
    """The face; with its landmarks off by about as much as a detector's are; and all these in the mirror."""
    random = np.random.default_rng(seed)
    eyes_px = float(np.linalg.norm(face.points[1] - face.points[0]))
    moves = [np.zeros((5, 2)), *(random.normal(0, SHAKE * eyes_px, (5, 2)) for _ in range(SHAKES))]
    looks = [Aligned(face.pixels, face.points + move) for move in moves]
    mirror, right_px = np.ascontiguousarray(face.pixels[:, ::-1]), face.pixels.shape[1] - 1
    return looks + [
        Aligned(mirror, ([right_px, 0] + look.points * [-1, 1])[[1, 0, 2, 4, 3]]) for look in looks
    ]


def _stacked(features: Floats) -> tuple[Floats, int]:
    """(faces, times, n) → (faces * times, n), and `times`."""
    return features.reshape(-1, features.shape[-1]), features.shape[1]


def _least_squares(features: Floats, target: Floats, weights: Floats, ridge: Floats) -> Floats:
    design = np.column_stack([features, np.ones(len(features))])
    weighted = design * weights[:, None]
    return np.asarray(
        np.linalg.solve(weighted.T @ design + np.diag(np.append(ridge, 0)), weighted.T @ target)
    )


def _on_raw_features(features: Floats, fit: Callable[[Floats], Floats]) -> Floats:
    """Fit on standardised features, and fold the standardisation into the weights and the bias."""
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-9
    fitted = fit((features - mean) / deviation)
    raw = fitted[:-1] / deviation
    return np.append(raw, fitted[-1] - mean @ raw)


def _apply(features: Floats, fitted: Floats) -> Floats:
    return np.asarray(features @ fitted[:-1] + fitted[-1])
