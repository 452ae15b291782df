"""Fit the layers for age and gender: a part of `bin/bench fit`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import datasets
from bench.datasets import Member
from bench.fitting.regression import apply, least_squares, logistic, on_raw_features
from bench.output import progress
from bench.strangers import ADULT, age_group
from inference.images.decoding import Picture
from inference.pipeline.alignment import Aligned
from inference.pipeline.attributes import AttributeChips, decode_age, encode_age
from inference.pipeline.engine import Engine

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

AGE_RIDGE = 1500.0
GENDER_RIDGE, GENDER_PLANES_RIDGE = 100.0, 300.0
OWN_RIDGE = 1.0
# The gender of children is hard to classify; with a lower weight they do not distort the fit for adults.
CHILD_WEIGHT = 0.3
# Ridge regression shrinks towards the mean: young people were estimated too old, old people too young.
STRETCH = 1.05
FOLDS = 5
PLANES = 1024
SHAKES, SHAKE = 1, 0.04


def fit(data: Path, engine: Engine) -> dict[str, dict[str, Any]]:
    """Fit the table `attributes`, and return it with the errors by group for the model card."""
    members = datasets.labelled(data)
    kept, ages, genders = [], [], []
    for member in progress(members, "attributes"):
        picture = Picture(datasets.padded_png(member.path))
        found = engine.detector.find(picture)
        if len(found.detections):
            looks = _looks(engine.align(picture, found, 0), len(kept))
            age, gender = engine.attributes.features([AttributeChips.from_face(look) for look in looks])
            kept.append(member)
            ages.append(age.astype(np.float32))
            genders.append(gender.astype(np.float32))
    return tables_of(kept, np.array(ages), np.array(genders))


def tables_of(members: Sequence[Member], ages: Floats, genders: Floats) -> dict[str, dict[str, Any]]:
    """Fit two ridge regressions on features (faces, variants, n); every decade of age has the same weight.

    The training set has variants of each face, with shifted landmarks and mirrored. The original is evaluated
    by layers that were fitted without pictures of the same person.
    """
    age = np.array([member.age for member in members], float)
    male = np.array([member.gender == "M" for member in members])
    decade = np.minimum(age // 10, 9).astype(int)
    weights = 1 / np.bincount(decade)[decade]
    weights /= weights.mean()
    looks = ages.shape[1]

    def age_layer(chosen: Flags) -> Floats:
        features = _stacked(ages[chosen])
        own = np.append(np.full(3, OWN_RIDGE), np.full(features.shape[1] - 3, AGE_RIDGE)) * looks
        targets, weight = np.repeat(encode_age(age[chosen]), looks), np.repeat(weights[chosen], looks)
        layer = on_raw_features(features, lambda scaled: least_squares(scaled, targets, weight, own))
        centre = np.average(targets, weights=weight)
        return np.append(layer[:-1] * STRETCH, centre + (layer[-1] - centre) * STRETCH)

    def gender_layer(chosen: Flags) -> Floats:
        features = _stacked(genders[chosen])
        ridges = np.full(features.shape[1], GENDER_RIDGE)
        ridges[0], ridges[-PLANES:] = OWN_RIDGE, GENDER_PLANES_RIDGE
        targets = np.repeat(male[chosen], looks)
        sample = np.repeat(np.where(age[chosen] < ADULT, CHILD_WEIGHT, 1.0), looks)
        return on_raw_features(features, lambda scaled: logistic(scaled, targets, ridges * looks, sample))

    people, owner = np.unique([member.person for member in members], return_inverse=True)
    fold = (np.random.default_rng(0).permutation(len(people)) % FOLDS)[owner]
    guessed, sign = np.zeros(len(age)), np.zeros(len(age))
    for k in range(FOLDS):
        outside = fold == k
        guessed[outside] = decode_age(apply(ages[outside, 0].astype(float), age_layer(~outside)))
        sign[outside] = apply(genders[outside, 0].astype(float), gender_layer(~outside))
    errors = guessed - age
    right = (sign > 0) == male
    flat = np.mean([np.abs(errors[decade == k]).mean() for k in np.unique(decade)])
    print(f"attributes: {len(age)} faces of {len(people)} people, {FOLDS} folds")
    print(f"    age MAE, decades weighted equally {flat:.2f}, over the faces {np.abs(errors).mean():.2f}")
    print(f"    gender {right.mean():.3f}, from {ADULT} up {right[age >= ADULT].mean():.3f}")
    everyone = np.ones(len(age), bool)
    vectors = genders[:, 0, 1:].mean(axis=0, dtype=float).round(5).tolist()
    average = {"primary": vectors[:128], "secondary": vectors[128:256], "planes": vectors[256:]}
    layers = {"age": age_layer(everyone), "gender": gender_layer(everyone)}
    card = {
        "attributes": errors_by_group(members, errors, right),
        "age_flat": round(float(flat), 2),
        "gender_adults": round(float(right[age >= ADULT].mean()), 4),
    }
    return {
        "attributes": {"faces": len(age), "average": average}
        | {
            name: {"weights": [round(float(w), 6) for w in fitted[:-1]], "bias": round(float(fitted[-1]), 6)}
            for name, fitted in layers.items()
        },
        "card": card,
    }


def errors_by_group(members: Sequence[Member], errors: Floats, right: Flags) -> list[dict[str, Any]]:
    """Return a row for each group: faces, mean absolute error and bias of the age, share of correct genders.

    All groups but the age groups contain only adults; faces without an ethnic group count in the other
    groups.
    """
    adult = np.array([member.age >= ADULT for member in members])
    labels = {
        "age": [age_group(member.age) for member in members],
        "gender": [member.gender if member.age >= ADULT else "" for member in members],
        "group": [member.group if member.age >= ADULT else "" for member in members],
    }
    chosen = [("age", name, np.array(labels["age"]) == name) for name in map(age_group, (0, 6, 16, 30, 60))]
    chosen.append(("adults", "adults", adult))
    for kind in ("gender", "group"):
        chosen += [(kind, name, np.array(labels[kind]) == name) for name in sorted(set(labels[kind]) - {""})]
    return [
        {
            "kind": kind,
            "name": name,
            "faces": int(members_of.sum()),
            "age_mae": round(float(np.abs(errors[members_of]).mean()), 2),
            "age_bias": round(float(errors[members_of].mean()), 2),
            "gender_right": round(float(right[members_of].mean()), 4),
        }
        for kind, name, members_of in chosen
        if members_of.any()
    ]


def _looks(face: Aligned, seed: int) -> list[Aligned]:
    """Return variants of a face, for augmentation.

    They are the face itself, copies with landmarks shifted by about the detector's error, and the mirror
    images of these.
    """
    random = np.random.default_rng(seed)
    eyes_px = float(np.linalg.norm(face.points[1] - face.points[0]))
    moves = [np.zeros((5, 2)), *(random.normal(0, SHAKE * eyes_px, (5, 2)) for _ in range(SHAKES))]
    looks = [Aligned(face.pixels, face.points + move) for move in moves]
    mirror, right_px = np.ascontiguousarray(face.pixels[:, ::-1]), face.pixels.shape[1] - 1
    return looks + [
        Aligned(mirror, ([right_px, 0] + look.points * [-1, 1])[[1, 0, 2, 4, 3]]) for look in looks
    ]


def _stacked(features: Floats) -> Floats:
    """Reshape (faces, variants, n) to (faces * variants, n), in double precision."""
    return np.asarray(features.reshape(-1, features.shape[-1]), np.float64)
