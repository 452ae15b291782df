"""Finding faces: YuNet on a scaled copy of the picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inference.runtime import Floats, Session

Pixels = npt.NDArray[np.uint8]

STRIDES = (8, 16, 32)
MAX_CANDIDATES = 2000


@dataclass(frozen=True, slots=True)
class Detections:
    """Candidates of one picture: boxes (N, 4) as left, top, right, bottom; points (N, 5, 2); scores (N,)
    0..1."""

    boxes: Floats
    points: Floats
    scores: Floats

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, keep: npt.NDArray[np.intp]) -> Detections:
        return Detections(self.boxes[keep], self.points[keep], self.scores[keep])

    def mapped(self, factor_x: float, factor_y: float, left: float = 0, top: float = 0) -> Detections:
        """The same faces in the coordinates of a picture of which this one is a scaled part."""
        factor = np.array([factor_x, factor_y], np.float32)
        shift = np.array([left, top], np.float32)
        return Detections(
            self.boxes * np.tile(factor, 2) + np.tile(shift, 2), self.points * factor + shift, self.scores
        )

    @staticmethod
    def joined(parts: list[Detections]) -> Detections:
        if not parts:
            return Detections(
                np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32)
            )
        return Detections(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.points for part in parts]),
            np.concatenate([part.scores for part in parts]),
        )


def overlaps(box: Floats, boxes: Floats) -> Floats:
    """Intersection over union of one box (4,) with each of `boxes` (N, 4)."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.prod(np.clip(sides, 0, None), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    union = np.prod(box[2:] - box[:2]) + areas - shared
    return np.asarray(shared / np.maximum(union, 1e-6), np.float32)


def suppress(found: Detections, overlap: float = 0.3) -> Detections:
    """Keep the best of each heap of boxes that overlap, best first."""
    order = np.argsort(-found.scores, kind="stable")[:MAX_CANDIDATES]
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        order = order[overlaps(found.boxes[best], found.boxes[order]) < overlap]
    return found.take(np.array(kept, np.intp))


class YuNet:
    """Boxes, landmarks and scores at one scale. The score is sqrt(class * objectness), not a
    probability."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def find(self, pixels: Pixels, threshold: float) -> Detections:
        """Every candidate of (height, width, 3) BGR pixels from `threshold` up, not yet suppressed."""
        height, width = (-(-side // 32) * 32 for side in pixels.shape[:2])
        padded = np.zeros((height, width, 3), np.uint8)
        padded[: pixels.shape[0], : pixels.shape[1]] = pixels
        outputs = dict(
            zip(self._session.outputs, self._session.run(cv2.dnn.blobFromImage(padded)), strict=True)
        )
        parts = []
        for stride in STRIDES:
            squared = (outputs[f"cls_{stride}"] * outputs[f"obj_{stride}"])[0, :, 0]
            cells = np.flatnonzero(squared >= threshold * threshold)
            corner = np.stack([cells % (width // stride), cells // (width // stride)], axis=1).astype(
                np.float32
            )
            box = outputs[f"bbox_{stride}"][0, cells]
            centre, half = (box[:, :2] + corner) * stride, np.exp(box[:, 2:]) * stride / 2
            points = (outputs[f"kps_{stride}"][0, cells].reshape(-1, 5, 2) + corner[:, None]) * stride
            parts.append(
                Detections(
                    np.concatenate([centre - half, centre + half], axis=1), points, np.sqrt(squared[cells])
                )
            )
        return Detections.joined(parts)
