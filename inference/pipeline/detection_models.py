"""The two detection networks, each at one scale. finder.py decides what they look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inference.arrays import Floats, Pixels
from inference.models.session import Session
from inference.pipeline.detections import Detections, iou


class YuNet:
    """Boxes, landmarks and scores. The score is sqrt(class * objectness), not a probability."""

    STRIDES = (8, 16, 32)

    def __init__(self, session: Session) -> None:
        self._session = session

    def find(self, pictures: Sequence[Pixels], threshold: float) -> list[Detections]:
        """Every candidate from `threshold` up, not yet suppressed, in each of several pictures of one size,
        (height, width, 3) BGR, whose sides are multiples of 32.
        """
        found: list[list[Detections]] = [[] for _ in pictures]
        for stride, maps in zip(self.STRIDES, self._session.run(pictures), strict=True):
            for parts, cells in zip(found, maps, strict=True):
                parts.append(_candidates(cells, stride, threshold))
        return [Detections.joined(parts) for parts in found]


def _candidates(cells: Floats, stride: int, threshold: float) -> Detections:
    """Read one map (16, rows, columns), a cell for each `stride` pixels: logits of class and objectness; the
    box's centre and the logarithms of its sides; five points. All in strides, from the cell's corner.
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
    """A second opinion: how sure this network is that a face fills a given box."""

    STRIDE = 4
    FLOOR = 0.05

    def __init__(self, session: Session) -> None:
        self._session = session

    def agreement(self, pictures: Sequence[Pixels], boxes: Floats, overlap: float = 0.3) -> Floats:
        """(N,) scores 0..1: the best own detection that overlaps `boxes[i]` in picture i, 0 where none does.

        `pictures` are of one size, whose sides are multiples of 32; `boxes` (N, 4) in their pixels.
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
