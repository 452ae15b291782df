"""Candidate faces as arrays, and non-maximum suppression. Independent of the models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inference.arrays import Floats

MAX_CANDIDATES = 2000
MAX_FACES = 500
# Boxes with at least this IoU are the same face.
NMS_IOU = 0.3
# A box inside another one is a fragment of the same face if it has at least this share of its area; a smaller
# box is a separate face.
FRAGMENT_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Detections:
    """Candidates of one picture, in its pixels.

    `boxes` (N, 4) are left, top, right, bottom, and may extend past the picture's edges; `points` (N, 5, 2)
    are the landmarks in the order of arrays.Points; `scores` (N,) are 0..1.
    """

    boxes: Floats
    points: Floats
    scores: Floats

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def sides(self) -> Floats:
        """The width and height of each box, (N, 2)."""
        return self.boxes[:, 2:] - self.boxes[:, :2]

    def take(self, keep: npt.NDArray[np.intp]) -> Detections:
        return Detections(self.boxes[keep], self.points[keep], self.scores[keep])

    def mapped(
        self, factor: float | tuple[float, float], shift: tuple[float, float] = (0.0, 0.0)
    ) -> Detections:
        """Return the detections scaled by `factor` and shifted, e.g. from a crop to the picture."""
        scale = np.broadcast_to(np.asarray(factor, np.float32), (2,))
        move = np.asarray(shift, np.float32)
        return Detections(
            self.boxes * np.tile(scale, 2) + np.tile(move, 2), self.points * scale + move, self.scores
        )

    def mirrored(self, width_px: float) -> Detections:
        """Return the detections in the horizontal mirror image; left and right points are swapped."""
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


def pixel_boxes(boxes: Floats, width_px: int, height_px: int) -> npt.NDArray[np.int64]:
    """Round boxes (N, 4) to whole pixels, at least 1x1 and inside the picture."""
    size = np.array([width_px, height_px])
    corners = np.clip(np.rint(boxes[:, :2]), 0, size - 1)
    ends = np.clip(np.rint(boxes[:, 2:]), corners + 1, size)
    return np.concatenate([corners, ends], axis=1).astype(np.int64)


def iou(box: Floats, boxes: Floats) -> Floats:
    """Return the intersection over union of one box (4,) with each of `boxes` (N, 4)."""
    return _iou(box, boxes)[0]


def _iou(box: Floats, boxes: Floats) -> tuple[Floats, Floats]:
    """Return the intersection over union, and the intersection over the area of the smaller box.

    The second is 0 if the smaller box has less than FRAGMENT_SHARE of the larger one's area.
    """
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.prod(np.clip(sides, 0, None), axis=1)
    area, areas = np.prod(box[2:] - box[:2]), np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    union = np.maximum(area + areas - shared, 1e-6)
    smaller, larger = np.minimum(area, areas), np.maximum(area, areas)
    inside = np.where(smaller >= FRAGMENT_SHARE * larger, shared / np.maximum(smaller, 1e-6), 0)
    return shared / union, inside.astype(np.float32)


def fast_nms(found: Detections) -> Detections:
    """Apply OpenCV's non-maximum suppression: fast enough for the thousands of boxes of a texture."""
    corner_and_sides = np.concatenate([found.boxes[:, :2], found.sides], axis=1)
    kept = cv2.dnn.NMSBoxes(corner_and_sides.tolist(), found.scores.tolist(), 0.0, NMS_IOU)
    return found.take(np.asarray(kept, np.intp))


def nms(found: Detections, union: float = NMS_IOU, smaller: float = 0.7) -> Detections:
    """Apply non-maximum suppression, best score first.

    A box is suppressed if its IoU with a better one is `union` or more, or if their intersection is at least
    the share `smaller` of the smaller box.
    """
    order = np.argsort(-found.scores, kind="stable")[:MAX_CANDIDATES]
    kept: list[np.intp] = []
    while len(order) and len(kept) < MAX_FACES:
        best, order = order[0], order[1:]
        kept.append(best)
        over_union, over_smaller = _iou(found.boxes[best], found.boxes[order])
        order = order[(over_union < union) & (over_smaller < smaller)]
    return found.take(np.array(kept, np.intp))
