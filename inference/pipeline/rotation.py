"""Faces that are rotated in the image plane: find the angle by running the detector on rotated windows.

YuNet is trained on upright faces. Its score shows how far a face is from upright (.92 and more within 20
degrees, .8 and less from 40 on). Its landmarks show the direction, but at most a third of the angle; in an
upside-down face they are wrong. Angles are in degrees, clockwise on the screen.

The numbers behind the constants: docs/decisions/0307-rotated-faces.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inference.arrays import Floats, Pixels
from inference.pipeline.detection_models import CenterFace, YuNet
from inference.pipeline.detections import Detections, iou
from inference.pipeline.resampling import Window, window

WINDOW = 2.0
YUNET_WINDOW_PX = 128
CENTERFACE_WINDOW_PX = 96
CANDIDATE = 0.2
MATCH_IOU = 0.4
# A face with a lower score may be rotated by any angle; one whose landmarks have a larger roll, slightly.
UPRIGHT_SCORE = 0.91
UPRIGHT_ROLL = 4.0
# From this angle a face counts as rotated: its box and its score are replaced.
ROTATED_FROM = 25.0
COARSE_ANGLES = (0.0, 60.0, 120.0, 180.0, 240.0, 300.0)
NEARBY_ANGLES = (0.0, -30.0, 30.0)
# Another angle replaces the first if its score is at least MIN_ROTATED_SCORE and at most RIVAL_MARGIN below
# the first one's, and if after refinement its 1 - score is at most MAX_SHORTFALL times that of the first.
MIN_ROTATED_SCORE, RIVAL_MARGIN, MAX_SHORTFALL = 0.7, 0.1, 0.9
# If an upright detection has this score, its box is more accurate than a box from a rotated window.
RELIABLE_BOX_SCORE = 0.8
MAX_AREA_RATIO = 1.6
# A refined detection may score this much less, because its landmarks are better.
SCORE_TOLERANCE = 0.02
ROLL_FACTOR, REFINE_STEPS, CONVERGED_ROLL = 3.0, 2, 1.5
UPRIGHTNESS_GAIN = 2.5
CERTAIN = 0.85


def roll(points: npt.NDArray[np.floating]) -> float:
    """Return the rotation of a face according to its five landmarks (5, 2), -180 to 180."""
    left_eye, right_eye, _, mouth_left, mouth_right = points.astype(np.float64)
    across = right_eye - left_eye + mouth_right - mouth_left
    down = mouth_left + mouth_right - left_eye - right_eye
    return math.degrees(math.atan2(across[1] - down[0], across[0] + down[1]))


def angle_from(degrees: float, other: float) -> float:
    """Return the signed difference between two angles, -180 to 180."""
    return (degrees - other + 180) % 360 - 180


@dataclass(frozen=True, slots=True)
class RotatedWindow:
    """A square around a face, rotated so that a face rotated by `degrees` is upright in it.

    `matrix` (2, 3) maps its pixels to the picture's.
    """

    pixels: Pixels
    degrees: float
    matrix: npt.NDArray[np.float64]

    def to_picture(self, found: Detections) -> Detections:
        """Convert detections to picture coordinates; boxes stay axis-aligned."""
        linear, shift = self.matrix[:, :2], self.matrix[:, 2]
        centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2 @ linear.T + shift
        # The axis-aligned box around the ellipse that fills the rotated box.
        half = np.sqrt((found.sides / 2) ** 2 @ (linear**2).T)
        boxes = np.concatenate([centres - half, centres + half], axis=1)
        points = found.points @ linear.T + shift
        return Detections(boxes.astype(np.float32), points.astype(np.float32), found.scores)


class RotatableCrop:
    """A crop around one face, large enough to hold windows of `times` its box at any angle."""

    def __init__(self, pixels: Pixels, box: Floats, times: float, side_px: int) -> None:
        self._side_px = side_px
        self._seen: Window = window(pixels, box, times * math.sqrt(2))
        self._pixels = self._seen.resized(math.ceil(side_px * math.sqrt(2)))

    def at(self, degrees: float) -> RotatedWindow:
        """Return the window in which a face rotated by `degrees` is upright."""
        whole = self._pixels.shape[0]
        turn = cv2.getRotationMatrix2D(((whole - 1) / 2, (whole - 1) / 2), degrees, 1)
        turn[:, 2] -= (whole - self._side_px) / 2
        size = (self._side_px, self._side_px)
        view = np.asarray(cv2.warpAffine(self._pixels, turn, size, flags=cv2.INTER_LINEAR), np.uint8)
        scale = self._seen.side_px / whole
        back = cv2.invertAffineTransform(turn) * scale
        back[:, 2] += [self._seen.left, self._seen.top]
        return RotatedWindow(view, degrees, back)


def central_detection(seen: Detections, times: float, side_px: int) -> Detections:
    """Return the best detection (N = 1) in the centre of a window, where its own face is, or none."""
    half = side_px / times / 2
    box = np.array([side_px / 2 - half, side_px / 2 - half, side_px / 2 + half, side_px / 2 + half])
    near = np.flatnonzero(iou(box.astype(np.float32), seen.boxes) >= MATCH_IOU)
    return seen.take(near[np.argsort(-seen.scores[near], kind="stable")[:1]])


@dataclass(frozen=True, slots=True)
class RotatedDetection:
    """One detection (N = 0 or 1) in a rotated window, in the window's pixels."""

    view: RotatedWindow
    found: Detections

    @property
    def score(self) -> float:
        return float(self.found.scores[0]) if len(self.found) else 0.0

    @property
    def roll(self) -> float:
        return roll(self.found.points[0]) if len(self.found) else 0.0


class RotationResolver:
    """Finds the rotation of a face. Thread-safe."""

    def __init__(self, yunet: YuNet, centerface: CenterFace) -> None:
        self._yunet = yunet
        self._centerface = centerface

    def may_be_rotated(self, points: Floats, score: float, degrees: float = 0.0) -> bool:
        """Return whether a face may be rotated from the angle at which it was found.

        `degrees` is that angle; `points` (5, 2) and `score` are those of the detection.
        """
        return score < UPRIGHT_SCORE or abs(angle_from(roll(points), degrees)) > UPRIGHT_ROLL

    def resolve(self, pixels: Pixels, face: Detections, degrees: float = 0.0) -> Detections:
        """Return one face (N = 1), found at `degrees`, with landmarks, box and score from the best angle.

        The face is returned unchanged if no angle is clearly better. After a small rotation, box and score
        stay.
        """
        crop = RotatableCrop(pixels, face.boxes[0], WINDOW, YUNET_WINDOW_PX)
        estimated = ROLL_FACTOR * angle_from(roll(face.points[0]), degrees)
        steps = COARSE_ANGLES if face.scores[0] < UPRIGHT_SCORE else (0.0, estimated)
        best = self._best_angle(crop, [degrees + step for step in steps])
        known = float(face.scores[0])
        if best.score < MIN_ROTATED_SCORE or 1 - best.score > MAX_SHORTFALL * (1 - known):
            return face
        seen = best.view.to_picture(best.found)
        if seen.sides.prod() > MAX_AREA_RATIO * face.sides.prod():  # a different face next to this one
            return face
        if abs(angle_from(best.view.degrees, degrees)) <= ROTATED_FROM:
            return Detections(face.boxes, seen.points, face.scores)
        score = best.score
        if score < CERTAIN:
            score = (2 * score + self._agreement(pixels, face, best)) / 3
        boxes = face.boxes if known >= RELIABLE_BOX_SCORE else seen.boxes
        return Detections(boxes, seen.points, np.array([max(score, known)], np.float32))

    def confirm(self, pixels: Pixels, face: Detections, degrees: float) -> Detections:
        """Detect a candidate (N = 1), found in a small view at `degrees`, again in a separate window.

        Its score is the mean of three: that of the view, that of the window, and CenterFace's. Returns no
        detection if there is none in the window.
        """
        crop = RotatableCrop(pixels, face.boxes[0], WINDOW, YUNET_WINDOW_PX)
        best = self._best_angle(crop, [degrees + step for step in NEARBY_ANGLES])
        if not len(best.found):
            return Detections.none()
        seen = best.view.to_picture(best.found)
        score = (float(face.scores[0]) + best.score + self._agreement(pixels, face, best)) / 3
        return Detections(seen.boxes, seen.points, np.array([score], np.float32))

    def uprightness(self, pixels: Pixels, face: Detections) -> float:
        """Return how much better a face (N = 1) scores upright than upside down, 0..1; .5 is equal.

        Runs the network only for faces that may be upside down; for others it returns 1.
        """
        degrees = roll(face.points[0])
        if face.scores[0] >= UPRIGHT_SCORE and abs(degrees) <= ROTATED_FROM:
            return 1.0
        crop = RotatableCrop(pixels, face.boxes[0], WINDOW, YUNET_WINDOW_PX)
        upright, upside_down = self._detect_at(crop, [degrees, degrees + 180])
        return min(1.0, max(0.0, 0.5 + UPRIGHTNESS_GAIN * (upright.score - upside_down.score)))

    def _best_angle(self, crop: RotatableCrop, angles: Sequence[float]) -> RotatedDetection:
        """Return the first angle's detection, refined, unless another angle is clearly better."""
        first, *others = self._detect_at(crop, angles)
        best = self._refine(crop, first)
        rival = max(others, key=lambda candidate: candidate.score, default=first)
        if rival is not first and rival.score >= max(MIN_ROTATED_SCORE, best.score - RIVAL_MARGIN):
            rival = self._refine(crop, rival)
            if 1 - rival.score <= MAX_SHORTFALL * (1 - best.score):
                best = rival
        return best

    def _refine(self, crop: RotatableCrop, candidate: RotatedDetection) -> RotatedDetection:
        """Follow the roll of the landmarks for REFINE_STEPS, as long as the score does not drop."""
        for _ in range(REFINE_STEPS):
            if abs(candidate.roll) < CONVERGED_ROLL:
                break
            (refined,) = self._detect_at(crop, [candidate.view.degrees + ROLL_FACTOR * candidate.roll])
            if refined.score < candidate.score - SCORE_TOLERANCE:
                break
            candidate = refined
        return candidate

    def _detect_at(self, crop: RotatableCrop, angles: Sequence[float]) -> list[RotatedDetection]:
        """Detect the face in windows rotated by each of `angles`."""
        views = [crop.at(degrees) for degrees in angles]
        found = self._yunet.find([view.pixels for view in views], CANDIDATE)
        return [
            RotatedDetection(view, central_detection(seen, WINDOW, YUNET_WINDOW_PX))
            for view, seen in zip(views, found, strict=True)
        ]

    def _agreement(self, pixels: Pixels, face: Detections, candidate: RotatedDetection) -> float:
        """Return CenterFace's score, 0..1, for the box of `candidate`."""
        crop = RotatableCrop(pixels, face.boxes[0], WINDOW, CENTERFACE_WINDOW_PX)
        box = candidate.found.boxes * np.float32(CENTERFACE_WINDOW_PX / YUNET_WINDOW_PX)
        return float(self._centerface.agreement([crop.at(candidate.view.degrees).pixels], box)[0])


def undo_quarter_turns(found: Detections, count: int, width_px: float, height_px: float) -> Detections:
    """Map detections in `np.rot90(picture, count)` to the pixels of the picture of the given size."""
    boxes, points = found.boxes, found.points
    size = (width_px, height_px) if count % 2 == 0 else (height_px, width_px)
    for _ in range(count % 4):  # undo one quarter turn to the left: x' = y, y' = width - x
        width, height = size
        boxes = np.stack([height - boxes[:, 3], boxes[:, 0], height - boxes[:, 1], boxes[:, 2]], axis=1)
        points = np.stack([height - points[..., 1], points[..., 0]], axis=-1)
        size = (height, width)
    return Detections(boxes, points, found.scores)
