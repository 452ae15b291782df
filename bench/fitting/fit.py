"""Fit a calibration set on an evaluation folder: `bin/bench fit --data DIR --out DIR`.

Every fit is small, regularised and evaluated by cross-validation, whose results are printed: the folder is
only a sample, and its peculiarities must not end up in the tables. An operator activates a set made from
other pictures with the setting CALIBRATION_DIR (docs/model-card.en.md).
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
from bench.fitting import fit_attributes, fit_confidence
from bench.fitting.regression import logistic
from bench.output import progress
from inference.calibration import tables
from inference.images.decoding import Picture
from inference.models.setup import ensure_models
from inference.pipeline import face_detector
from inference.pipeline.engine import Engine

Floats = npt.NDArray[np.float64]
PARTS = ("face_probability", "confidence", "attributes")
# The parts of the evaluation folder that each fit needs.
FOLDERS = {
    "face_probability": ("detection",),
    "confidence": ("verification", "cohort"),
    "attributes": ("attributes",),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bin/bench fit", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the evaluation folder")
    parser.add_argument("--only", choices=PARTS, action="append", help="fit only this part (may be repeated)")
    parser.add_argument("--out", type=Path, help="write the whole set into this folder")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    models_dir = Path(__file__).resolve().parents[2] / "var" / "models"
    ensure_models(models_dir)
    engine = Engine(models_dir)
    fits: dict[str, Callable[[Path, Engine], dict[str, Any]]] = {
        "face_probability": lambda data, engine: {"face_probability": fit_face_probability(data, engine)},
        "confidence": fit_confidence.fit,
        "attributes": fit_attributes.fit,
    }
    fitted: dict[str, Any] = {}
    for name in arguments.only or PARTS:
        missing = [folder for folder in FOLDERS[name] if not (arguments.data / folder).is_dir()]
        if missing:
            print(f"{name}: {' and '.join(missing)} missing, so this part is not fitted")
            continue
        found = fits[name](arguments.data, engine)
        fitted["card"] = fitted.get("card", {}) | found.pop("card", {})
        fitted |= found
    if arguments.out:
        write(arguments.out, fitted)
    return 0


def write(out: Path, fitted: dict[str, Any]) -> None:
    """Write a complete set: the fitted tables, the current set's tables for the rest, and the manifest."""
    version = f"{datetime.now(UTC):%Y-%m-%d}"
    kept = {name: json.loads((tables.directory() / f"{name}.json").read_text()) for name in tables.TABLES}
    out.mkdir(parents=True, exist_ok=True)
    fitted["card"] = kept["card"] | fitted.get("card", {})
    for name in tables.TABLES:
        table = {"version": version} | fitted[name] if name in fitted else kept[name]
        text = json.dumps(table, separators=(",", ":")).replace('],"', '],\n"').replace("},", "},\n")
        (out / f"{name}.json").write_text(text + "\n")
    tables.seal(out, version)
    print(f"{out}: a set of version {version}. Activate it with CALIBRATION_DIR={out}.")


# --- face_probability ----------------------------------------------------------------


def fit_face_probability(data: Path, engine: Engine) -> dict[str, Any]:
    """Fit a logistic curve to the detector's scores, on candidates down to half of ACCEPTED."""
    scores, faces, folds = [], [], []
    for number, picture in enumerate(progress(datasets.boxed(data), "face_probability")):
        with mock.patch.object(face_detector, "ACCEPTED", face_detector.ACCEPTED / 2):
            found = engine.detector.find(Picture(picture.path.read_bytes()))
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
    served = score >= face_detector.ACCEPTED
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
