"""The two detection networks, each at one scale; face_detector.py selects their input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inference.arrays import Floats, Pixels
from inference.models.session import Session
from inference.pipeline.detections import Detections, iou


class YuNet:
    """Detects boxes and landmarks. Its score is sqrt(class * objectness), not a probability."""

    STRIDES = (8, 16, 32)

    def __init__(self, session: Session) -> None:
        self._session = session

    def find(self, pictures: Sequence[Pixels], threshold: float) -> list[Detections]:
        """Return the candidates from `threshold` up in each picture, before non-maximum suppression.

        `pictures` are (height, width, 3) BGR, of one size, with sides that are multiples of 32.
        """
        found: list[list[Detections]] = [[] for _ in pictures]
        for stride, maps in zip(self.STRIDES, self._session.run(pictures), strict=True):
            for parts, cells in zip(found, maps, strict=True):
                parts.append(_candidates(cells, stride, threshold))
        return [Detections.joined(parts) for parts in found]


def _candidates(cells: Floats, stride: int, threshold: float) -> Detections:
    """Decode one output map (16, rows, columns) with one cell for each `stride` pixels.

    The channels are the logits of class and objectness, the box's centre and the logarithms of its sides, and
    five points: all in units of the stride, relative to the cell's corner.
    """
    squared = _sigmoid(cells[0]) * _sigmoid(cells[1])
    rows, columns = np.nonzero(squared >= threshold * threshold)
    corner = np.stack([columns, rows], axis=1).astype(np.float32)
    values = cells[:, rows, columns].T
    centre, half = values[:, 2:4] + corner, np.exp(values[:, 4:6]) / 2
    points = values[:, 6:].reshape(-1, 5, 2) + corner[:, None]
    return Detections(
        np.concatenate([centre - half, centre + half], axis=1) * stride,
        points * stride,
        np.sqrt(squared[rows, columns]),
    )


def _sigmoid(logits: Floats) -> Floats:
    return np.asarray(0.5 + 0.5 * np.tanh(logits / 2), np.float32)


class CenterFace:
    """Verifies detections: a second network's confidence that a given box contains a face."""

    STRIDE = 4
    FLOOR = 0.05

    def __init__(self, session: Session) -> None:
        self._session = session

    def agreement(self, pictures: Sequence[Pixels], boxes: Floats, overlap: float = 0.3) -> Floats:
        """Return scores (N,) 0..1: the best detection in picture i that overlaps `boxes[i]`, or 0.

        `pictures` are of one size, with sides that are multiples of 32; `boxes` (N, 4) are in their pixels;
        `overlap` is the minimum IoU.
        """
        heat, size, offset, _ = self._session.run(pictures)
        scores = np.zeros(len(pictures), np.float32)
        for index, box in enumerate(boxes):
            rows, columns = np.nonzero(heat[index, 0] > self.FLOOR)
            centre = np.stack([columns, rows], axis=1) + 0.5 + offset[index][::-1, rows, columns].T
            half = np.exp(size[index][::-1, rows, columns].T) / 2
            own = np.concatenate([centre - half, centre + half], axis=1) * self.STRIDE
            near = iou(box, own) > overlap
            scores[index] = heat[index, 0, rows, columns][near].max(initial=0.0)
        return scores
