"""Faces that are turned in the plane: which way up they are, by looks at turned windows.

YuNet is trained on upright faces. Its score says how far a face is from upright (.92 and more within 20
degrees, .8 and less from 40 on), and its landmarks say on which side, but a third of the angle at most;
upside down it finds a face whose landmarks are wrong. Angles are in degrees, clockwise on the screen.

The numbers behind the constants: docs/decisions/0307-turned-faces.md.
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
SAME_PLACE = 0.4
# A face that scores less may be turned by any angle; one whose landmarks are turned by more, by a little.
UPRIGHT_SCORE = 0.91
UPRIGHT_ROLL = 4.0
# From here on a face counts as turned: its box is made anew, and its score.
TURNED = 25.0
COARSE = (0.0, 60.0, 120.0, 180.0, 240.0, 300.0)
NEARBY = (0.0, -30.0, 30.0)
# A turned look must score GOOD and hardly less than the first one, and at the end fall short of 1 by no more
# than this share of what that does.
GOOD, RIVAL, SHORTFALL = 0.7, 0.1, 0.9
# The box of an upright look that scored this much fits better than one from a turned look.
GOOD_BOX = 0.8
LARGER = 1.6
# A closer look may score this much less: its landmarks are the better ones.
TOLERANCE = 0.02
ROLL_FACTOR, STEPS, STILL = 3.0, 2, 1.5
UPRIGHTNESS = 2.5
CERTAIN = 0.85


def roll(points: npt.NDArray[np.floating]) -> float:
    """Return by how much a face is turned according to its five landmarks, -180 to 180."""
    left_eye, right_eye, _, mouth_left, mouth_right = points.astype(np.float64)
    across = right_eye - left_eye + mouth_right - mouth_left
    down = mouth_left + mouth_right - left_eye - right_eye
    return math.degrees(math.atan2(across[1] - down[0], across[0] + down[1]))


def off(degrees: float, other: float) -> float:
    """Return by how much an angle is past another one, -180 to 180."""
    return (degrees - other + 180) % 360 - 180


@dataclass(frozen=True, slots=True)
class TurnedWindow:
    """A square of a picture around a face, turned so that a face turned by `degrees` is upright in it.

    `to_picture` (2, 3) maps its pixels to the picture's.
    """

    pixels: Pixels
    degrees: float
    to_picture: npt.NDArray[np.float64]

    def outside(self, found: Detections) -> Detections:
        """Return what was found in this window in the pixels of the picture; boxes stay upright boxes."""
        linear, shift = self.to_picture[:, :2], self.to_picture[:, 2]
        centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2 @ linear.T + shift
        # the upright box around the ellipse that fills the turned box
        half = np.sqrt((found.sides / 2) ** 2 @ (linear**2).T)
        boxes = np.concatenate([centres - half, centres + half], axis=1)
        points = found.points @ linear.T + shift
        return Detections(boxes.astype(np.float32), points.astype(np.float32), found.scores)


class Surroundings:
    """What lies around one face, enough for windows `times` as large as its box at any angle."""

    def __init__(self, pixels: Pixels, box: Floats, times: float, side_px: int) -> None:
        self._side_px = side_px
        self._seen: Window = window(pixels, box, times * math.sqrt(2))
        self._pixels = self._seen.resized(math.ceil(side_px * math.sqrt(2)))

    def turned(self, degrees: float) -> TurnedWindow:
        """Return the window in which a face turned by `degrees` is upright."""
        whole = self._pixels.shape[0]
        turn = cv2.getRotationMatrix2D(((whole - 1) / 2, (whole - 1) / 2), degrees, 1)
        turn[:, 2] -= (whole - self._side_px) / 2
        size = (self._side_px, self._side_px)
        view = np.asarray(cv2.warpAffine(self._pixels, turn, size, flags=cv2.INTER_LINEAR), np.uint8)
        scale = self._seen.side_px / whole
        back = cv2.invertAffineTransform(turn) * scale
        back[:, 2] += [self._seen.left, self._seen.top]
        return TurnedWindow(view, degrees, back)


def in_the_middle(seen: Detections, times: float, side_px: int) -> Detections:
    """Return the best detection where a window shows the face it was cut around; none if there is none."""
    half = side_px / times / 2
    box = np.array([side_px / 2 - half, side_px / 2 - half, side_px / 2 + half, side_px / 2 + half])
    near = np.flatnonzero(iou(box.astype(np.float32), seen.boxes) >= SAME_PLACE)
    return seen.take(near[np.argsort(-seen.scores[near], kind="stable")[:1]])


@dataclass(frozen=True, slots=True)
class Look:
    """One detection (N = 0 or 1) in one turned window, in the window's pixels."""

    view: TurnedWindow
    found: Detections

    @property
    def score(self) -> float:
        return float(self.found.scores[0]) if len(self.found) else 0.0

    @property
    def roll(self) -> float:
        return roll(self.found.points[0]) if len(self.found) else 0.0


class Turner:
    """Finds which way up a face is. May be used from any thread."""

    def __init__(self, yunet: YuNet, centerface: CenterFace) -> None:
        self._yunet = yunet
        self._centerface = centerface

    def is_in_doubt(self, points: Floats, score: float, degrees: float = 0.0) -> bool:
        """Whether a look at a picture turned by `degrees` leaves open that the face is turned further."""
        return score < UPRIGHT_SCORE or abs(off(roll(points), degrees)) > UPRIGHT_ROLL

    def turn(self, pixels: Pixels, face: Detections, degrees: float = 0.0) -> Detections:
        """Return one face (N = 1), found at `degrees`, with landmarks, box and score of the best look at it.

        If that is not clearly better than the look that found it, the face stays as it is. After a slight
        turn, box and score stay.
        """
        around = Surroundings(pixels, face.boxes[0], WINDOW, YUNET_WINDOW_PX)
        lean = ROLL_FACTOR * off(roll(face.points[0]), degrees)
        steps = COARSE if face.scores[0] < UPRIGHT_SCORE else (0.0, lean)
        best = self._best_look(around, [degrees + step for step in steps])
        known = float(face.scores[0])
        if best.score < GOOD or 1 - best.score > SHORTFALL * (1 - known):
            return face
        seen = best.view.outside(best.found)
        if seen.sides.prod() > LARGER * face.sides.prod():  # another face beside this one
            return face
        if abs(off(best.view.degrees, degrees)) <= TURNED:
            return Detections(face.boxes, seen.points, face.scores)
        score = best.score
        if score < CERTAIN:
            score = (2 * score + self._agreement(pixels, face, best)) / 3
        boxes = face.boxes if known >= GOOD_BOX else seen.boxes
        return Detections(boxes, seen.points, np.array([max(score, known)], np.float32))

    def confirm(self, pixels: Pixels, face: Detections, degrees: float) -> Detections:
        """Return a candidate (N = 1), found in a small view at `degrees`, as it shows in a window of its own.

        Its score is the mean of three: the view's, the window's, CenterFace's.
        """
        around = Surroundings(pixels, face.boxes[0], WINDOW, YUNET_WINDOW_PX)
        best = self._best_look(around, [degrees + step for step in NEARBY])
        if not len(best.found):
            return Detections.none()
        seen = best.view.outside(best.found)
        score = (float(face.scores[0]) + best.score + self._agreement(pixels, face, best)) / 3
        return Detections(seen.boxes, seen.points, np.array([score], np.float32))

    def uprightness(self, pixels: Pixels, face: Detections) -> float:
        """Return by how much a face (N = 1) scores more upright than upside down, as 0..1; .5 is no more.

        Only a face that might be the wrong way up is looked at; any other is 1.
        """
        degrees = roll(face.points[0])
        if face.scores[0] >= UPRIGHT_SCORE and abs(degrees) <= TURNED:
            return 1.0
        around = Surroundings(pixels, face.boxes[0], WINDOW, YUNET_WINDOW_PX)
        upright, upside_down = self._look(around, [degrees, degrees + 180])
        return min(1.0, max(0.0, 0.5 + UPRIGHTNESS * (upright.score - upside_down.score)))

    def _best_look(self, around: Surroundings, angles: Sequence[float]) -> Look:
        """Return the best look: at the first angle unless another one is clearly better, then closer by."""
        first, *others = self._look(around, angles)
        best = self._closer(around, first)
        rival = max(others, key=lambda look: look.score, default=first)
        if rival is not first and rival.score >= max(GOOD, best.score - RIVAL):
            rival = self._closer(around, rival)
            if 1 - rival.score <= SHORTFALL * (1 - best.score):
                best = rival
        return best

    def _closer(self, around: Surroundings, look: Look) -> Look:
        """Return the look after following its landmarks for STEPS, as long as it does not get worse."""
        for _ in range(STEPS):
            if abs(look.roll) < STILL:
                break
            (closer,) = self._look(around, [look.view.degrees + ROLL_FACTOR * look.roll])
            if closer.score < look.score - TOLERANCE:
                break
            look = closer
        return look

    def _look(self, around: Surroundings, angles: Sequence[float]) -> list[Look]:
        views = [around.turned(degrees) for degrees in angles]
        found = self._yunet.find([view.pixels for view in views], CANDIDATE)
        return [
            Look(view, in_the_middle(seen, WINDOW, YUNET_WINDOW_PX))
            for view, seen in zip(views, found, strict=True)
        ]

    def _agreement(self, pixels: Pixels, face: Detections, look: Look) -> float:
        around = Surroundings(pixels, face.boxes[0], WINDOW, CENTERFACE_WINDOW_PX)
        box = look.found.boxes * np.float32(CENTERFACE_WINDOW_PX / YUNET_WINDOW_PX)
        return float(self._centerface.agreement([around.turned(look.view.degrees).pixels], box)[0])


def quarters(found: Detections, count: int, width_px: float, height_px: float) -> Detections:
    """Return what was found in `np.rot90(picture, count)` in the pixels of a picture of this size."""
    boxes, points = found.boxes, found.points
    size = (width_px, height_px) if count % 2 == 0 else (height_px, width_px)
    for _ in range(count % 4):  # undo one quarter turn to the left: x' = y, y' = width - x
        width, height = size
        boxes = np.stack([height - boxes[:, 3], boxes[:, 0], height - boxes[:, 1], boxes[:, 2]], axis=1)
        points = np.stack([height - points[..., 1], points[..., 0]], axis=-1)
        size = (height, width)
    return Detections(boxes, points, found.scores)
