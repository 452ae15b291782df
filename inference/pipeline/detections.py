"""Candidate faces as arrays, and the choice among those that overlap. Knows no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inference.arrays import Floats

MAX_CANDIDATES = 2000
MAX_FACES = 500
# Boxes that share this much, intersection over union, are one face.
UNION = 0.3
# A box inside another is a fragment of the same face down to this share of its area; below, a face of its
# own.
FRAGMENT = 0.1


@dataclass(frozen=True, slots=True)
class Detections:
    """Candidates of one picture, in its pixels.

    boxes (N, 4) as left, top, right, bottom, which may pass the picture's edges; points (N, 5, 2), eyes,
    nose, mouth corners, left to right as seen; scores (N,) 0..1.
    """

    boxes: Floats
    points: Floats
    scores: Floats

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def sides(self) -> Floats:
        """(N, 2) width and height of each box."""
        return self.boxes[:, 2:] - self.boxes[:, :2]

    def take(self, keep: npt.NDArray[np.intp]) -> Detections:
        return Detections(self.boxes[keep], self.points[keep], self.scores[keep])

    def mapped(
        self, factor: float | tuple[float, float], shift: tuple[float, float] = (0.0, 0.0)
    ) -> Detections:
        """The same faces in the pixels of a picture of which this one is a scaled part."""
        scale = np.broadcast_to(np.asarray(factor, np.float32), (2,))
        move = np.asarray(shift, np.float32)
        return Detections(
            self.boxes * np.tile(scale, 2) + np.tile(move, 2), self.points * scale + move, self.scores
        )

    def mirrored(self, width_px: float) -> Detections:
        """The same faces in the mirror image of a picture of this width; left and right points change
        places.
        """
        boxes, points = self.boxes.copy(), self.points[:, [1, 0, 2, 4, 3]]
        boxes[:, [0, 2]] = width_px - boxes[:, [2, 0]]
        points[..., 0] = width_px - points[..., 0]
        return Detections(boxes, points, self.scores)

    @classmethod
    def none(cls) -> Detections:
        return cls(np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32))

    @classmethod
    def joined(cls, parts: Sequence[Detections]) -> Detections:
        parts = [part for part in parts if len(part)] or [cls.none()]
        return cls(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.points for part in parts]),
            np.concatenate([part.scores for part in parts]),
        )


def whole_boxes(boxes: Floats, width_px: int, height_px: int) -> npt.NDArray[np.int64]:
    """Boxes (N, 4) in whole pixels, at least 1x1 and inside the picture."""
    size = np.array([width_px, height_px])
    corners = np.clip(np.rint(boxes[:, :2]), 0, size - 1)
    ends = np.clip(np.rint(boxes[:, 2:]), corners + 1, size)
    return np.concatenate([corners, ends], axis=1).astype(np.int64)


def iou(box: Floats, boxes: Floats) -> Floats:
    """Intersection over union of one box (4,) with each of `boxes` (N, 4)."""
    return _iou(box, boxes)[0]


def _iou(box: Floats, boxes: Floats) -> tuple[Floats, Floats]:
    """Intersection over union; and over the smaller of the two boxes, where neither is tiny beside the
    other.
    """
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.prod(np.clip(sides, 0, None), axis=1)
    area, areas = np.prod(box[2:] - box[:2]), np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    union = np.maximum(area + areas - shared, 1e-6)
    smaller, larger = np.minimum(area, areas), np.maximum(area, areas)
    inside = np.where(smaller >= FRAGMENT * larger, shared / np.maximum(smaller, 1e-6), 0)
    return shared / union, inside.astype(np.float32)


def fast_nms(found: Detections) -> Detections:
    """The best of each heap of boxes that overlap by UNION; quick, for the thousands a texture brings."""
    corner_and_sides = np.concatenate([found.boxes[:, :2], found.sides], axis=1)
    kept = cv2.dnn.NMSBoxes(corner_and_sides.tolist(), found.scores.tolist(), 0.0, UNION)
    return found.take(np.asarray(kept, np.intp))


def nms(found: Detections, union: float = UNION, smaller: float = 0.7) -> Detections:
    """Keep the best of each heap of boxes that overlap by `union` or lie by `smaller` inside each other."""
    order = np.argsort(-found.scores, kind="stable")[:MAX_CANDIDATES]
    kept: list[np.intp] = []
    while len(order) and len(kept) < MAX_FACES:
        best, order = order[0], order[1:]
        kept.append(best)
        over_union, over_smaller = _iou(found.boxes[best], found.boxes[order])
        order = order[(over_union < union) & (over_smaller < smaller)]
    return found.take(np.array(kept, np.intp))
