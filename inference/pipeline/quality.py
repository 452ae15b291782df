"""图像质量检测 (manual 1.2): whether a picture is good enough for detection, attributes or comparison.

Each measure of the largest face is graded: .5 at the limit in LIMITS, 1 at its ideal, 0 at its worst. A
picture passes if every grade is .5 or more; its score is the lowest grade.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from inference.arrays import Pixels, Points
from inference.pipeline.alignment import SFACE_TEMPLATE, chip
from inference.results import Quality

Purpose = Literal["detect", "analyse", "compare"]

NO_FACE = Quality(0.0, ("no_face",))
CHIP_SIDE_PX = 112


@dataclass(frozen=True, slots=True)
class Measures:
    """Measures of the largest face of a picture; units are in the names."""

    size_px: float
    sharpness: float
    brightness: float
    contrast: float
    frontality: float
    uprightness: float
    inside: float
    dominance: float


@dataclass(frozen=True, slots=True)
class Limit:
    """A piecewise-linear grade: 0 at `worst`, .5 at `limit`, 1 at `ideal`, in rising or falling order."""

    worst: float
    limit: float
    ideal: float

    def grade(self, value: float) -> float:
        xs, ys = [self.worst, self.limit, self.ideal], [0.0, 0.5, 1.0]
        if self.worst > self.ideal:
            xs, ys = xs[::-1], ys[::-1]
        return float(np.interp(value, xs, ys))


# reason → (measure, its limits for each purpose). If a purpose is missing, the measure does not count for it:
# for example, a profile is good enough for detection. About 10 of 100 LFW pictures fail for comparison,
# mostly because of a second face.
LIMITS: dict[str, tuple[str, dict[Purpose, Limit]]] = {
    "face_too_small": (
        "size_px",
        {"detect": Limit(8, 16, 64), "analyse": Limit(16, 32, 96), "compare": Limit(20, 40, 112)},
    ),
    "blurred": (
        "sharpness",
        {"detect": Limit(0, 1.5, 8), "analyse": Limit(0, 2.5, 8), "compare": Limit(0, 3.5, 8)},
    ),
    "too_dark": (
        "brightness",
        {"detect": Limit(5, 20, 90), "analyse": Limit(10, 30, 90), "compare": Limit(10, 35, 90)},
    ),
    "too_bright": (
        "brightness",
        {"detect": Limit(254, 245, 180), "analyse": Limit(252, 235, 180), "compare": Limit(250, 230, 180)},
    ),
    "low_contrast": (
        "contrast",
        {"detect": Limit(2, 8, 40), "analyse": Limit(4, 14, 40), "compare": Limit(4, 16, 40)},
    ),
    "extreme_pose": (
        "frontality",
        {"analyse": Limit(0, 0.2, 0.8), "compare": Limit(0.05, 0.25, 0.8)},
    ),
    "rotated": (
        "uprightness",
        {"detect": Limit(0, 0.5, 1), "analyse": Limit(0, 0.5, 1), "compare": Limit(0, 0.5, 1)},
    ),
    "cut_off": (
        "inside",
        {"detect": Limit(0.4, 0.6, 1), "analyse": Limit(0.5, 0.75, 1), "compare": Limit(0.6, 0.8, 1)},
    ),
    "several_faces": ("dominance", {"compare": Limit(0, 0.25, 0.9)}),
}


def judge(measures: Measures, purpose: Purpose) -> Quality:
    """Return the quality of a picture for one purpose."""
    grades = {
        reason: limits[purpose].grade(getattr(measures, name))
        for reason, (name, limits) in LIMITS.items()
        if purpose in limits
    }
    failed = tuple(reason for reason, grade in grades.items() if grade < 0.5)
    return Quality(round(min(grades.values()), 3), failed)


def measure(
    pixels: Pixels, points: Points, *, size_px: float, uprightness: float, inside: float, dominance: float
) -> Measures:
    """Measure one face with landmarks `points` (5, 2) in the coordinates of `pixels`.

    The four keyword arguments come from the detection: `size_px` is the square root of the box's area in the
    full-size picture, the others are 0..1.
    """
    grey = cv2.cvtColor(chip(pixels, points, SFACE_TEMPLATE, CHIP_SIDE_PX), cv2.COLOR_BGR2GRAY)
    return Measures(
        size_px=size_px,
        sharpness=float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean()),
        brightness=float(grey.mean()),
        contrast=float(grey.std()),
        frontality=frontality(points),
        uprightness=uprightness,
        inside=inside,
        dominance=dominance,
    )


def frontality(points: Points) -> float:
    """Return 1 if the nose is midway between the eyes and mouth corners, 0 if it reaches one of them."""
    left_eye, right_eye, nose, mouth_left, mouth_right = points
    across = (right_eye - left_eye + mouth_right - mouth_left) / 2
    down = (mouth_left + mouth_right - left_eye - right_eye) / 2
    frame = np.column_stack([across, down])
    if abs(np.linalg.det(frame)) < 1e-6:
        return 0.0
    centre = points[[0, 1, 3, 4]].mean(axis=0)
    sideways, downwards = np.linalg.solve(frame, nose - centre)
    return float(np.clip(1 - max(abs(sideways), abs(downwards)) / 0.5, 0, 1))
