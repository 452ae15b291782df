"""Faces rotated in the image plane: each picture compared with rotated copies of itself."""

from __future__ import annotations

import math
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from bench import datasets
from bench.output import Section, progress
from inference.arrays import Pixels
from inference.calibration.scoring import compare
from inference.pipeline.engine import Engine

PEOPLE = 100
STEP_DEGREES = 15
SECTORS = ((0, "upright"), (30, "up to 30"), (60, "31 to 60"), (90, "61 to 90"), (180, "91 to 180"))


def rotation(data: Path, engine: Engine) -> Section:
    """Measure, by angle, the share of rotated copies accepted as the same person and the cost of detection.

    Pictures whose upright version shows one face, without `several_faces`, are also counted separately.
    """
    paths = _one_of_each_person(data)
    shown: Counter[str] = Counter()
    same: Counter[str] = Counter()
    silent = 0
    cpu_s: Counter[str] = Counter()
    for path in progress(paths, "rotation"):
        pixels = np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR), np.uint8)
        upright = engine.embed(_jpeg(pixels))
        for degrees in range(0, 360, STEP_DEGREES):
            data_turned = _jpeg(turned(pixels, degrees))
            template = engine.embed(data_turned)
            is_same = compare(upright, template).same
            silent += not is_same and template.quality.passed
            started = time.process_time()
            engine.detect(data_turned)
            spent_s = time.process_time() - started
            kinds = ["multiples of 90" if degrees % 90 == 0 else "other angles", _sector(degrees)]
            if "several_faces" not in upright.quality.reasons:
                kinds.append(f"one face, {kinds[0]}")
            for kind in kinds:
                shown[kind] += 1
                same[kind] += is_same
                cpu_s[kind] += spent_s
    section = Section("rotation")
    section.value("pictures", len(paths))
    section.value("angles of each", 360 // STEP_DEGREES)
    section.value("not the same person, although pic_quality is 0", silent)
    kinds = sorted(set(shown) - {name for _, name in SECTORS}) + [name for _, name in SECTORS]
    section.table(
        "by angle",
        ("degrees", "same person", "detect, CPU-ms", "comparisons"),
        [(kind, same[kind] / shown[kind], cpu_s[kind] / shown[kind] * 1000, shown[kind]) for kind in kinds],
    )
    return section


def turned(pixels: Pixels, degrees: float) -> Pixels:
    """Return the whole picture, rotated counter-clockwise, with black corners."""
    if degrees % 90 == 0:
        return np.ascontiguousarray(np.rot90(pixels, int(degrees) // 90))
    height, width = pixels.shape[:2]
    cosine, sine = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    size = (round(width * cosine + height * sine), round(width * sine + height * cosine))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    matrix[:, 2] += [(size[0] - width) / 2, (size[1] - height) / 2]
    return np.asarray(cv2.warpAffine(pixels, matrix, size, flags=cv2.INTER_CUBIC), np.uint8)


def _one_of_each_person(data: Path) -> list[Path]:
    """Return PEOPLE pictures of different people, the same ones every time."""
    paths: dict[str, Path] = {}
    for pair in datasets.pairs(data):
        for path in (pair.first, pair.second):
            paths.setdefault(datasets.person(path), path)
    chosen = sorted(paths.values())
    np.random.default_rng(0).shuffle(chosen)
    return chosen[:PEOPLE]


def _sector(degrees: int) -> str:
    off = min(degrees, 360 - degrees)
    return next(name for limit, name in SECTORS if off <= limit)


def _jpeg(pixels: Pixels) -> bytes:
    return bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])[1])
