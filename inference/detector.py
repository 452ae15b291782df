"""The two detection networks, each at one scale. finder.py decides what they look at."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from inference.detections import Detections, Floats, overlaps
from inference.runtime import Session

Pixels = npt.NDArray[np.uint8]


def batch(pictures: Sequence[Pixels], *, rgb: bool) -> Floats:
    """BGR pictures of one size → (N, 3, h, w) floats 0-255."""
    return np.asarray(cv2.dnn.blobFromImages(list(pictures), swapRB=rgb), np.float32)


class YuNet:
    """Boxes, landmarks and scores. The score is sqrt(class * objectness), not a probability."""

    STRIDES = (8, 16, 32)

    def __init__(self, session: Session) -> None:
        self._session = session

    def find(self, pixels: Pixels, threshold: float) -> Detections:
        """Every candidate of (height, width, 3) BGR pixels from `threshold` up, not yet suppressed."""
        height, width = pixels.shape[:2]
        bottom, right = -height % 32, -width % 32
        if bottom or right:
            pixels = np.asarray(
                cv2.copyMakeBorder(pixels, 0, bottom, 0, right, cv2.BORDER_CONSTANT), np.uint8
            )
        return self.find_all([pixels], threshold)[0]

    def find_all(self, pictures: Sequence[Pixels], threshold: float) -> list[Detections]:
        """`find` for several pictures of one size, whose sides are multiples of 32."""
        width = pictures[0].shape[1]
        values = self._session.run(batch(pictures, rgb=False))
        outputs = dict(zip(self._session.outputs, values, strict=True))
        found: list[list[Detections]] = [[] for _ in pictures]
        for stride in self.STRIDES:
            squared = (outputs[f"cls_{stride}"] * outputs[f"obj_{stride}"])[..., 0]
            for index, parts in enumerate(found):
                cells = np.flatnonzero(squared[index] >= threshold * threshold)
                columns = width // stride
                corner = np.stack([cells % columns, cells // columns], axis=1).astype(np.float32)
                box = outputs[f"bbox_{stride}"][index, cells]
                centre, half = (box[:, :2] + corner) * stride, np.exp(box[:, 2:]) * (stride / 2)
                points = outputs[f"kps_{stride}"][index, cells].reshape(-1, 5, 2)
                parts.append(
                    Detections(
                        np.concatenate([centre - half, centre + half], axis=1),
                        (points + corner[:, None]) * stride,
                        np.sqrt(squared[index, cells]),
                    )
                )
        return [Detections.joined(parts) for parts in found]


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
        heat, size, offset, _ = self._session.run(batch(pictures, rgb=True))
        scores = np.zeros(len(pictures), np.float32)
        for index, box in enumerate(boxes):
            rows, columns = np.nonzero(heat[index, 0] > self.FLOOR)
            centre = np.stack([columns, rows], axis=1) + 0.5 + offset[index][::-1, rows, columns].T
            half = np.exp(size[index][::-1, rows, columns].T) / 2
            own = np.concatenate([centre - half, centre + half], axis=1) * self.STRIDE
            near = overlaps(box, own) > overlap
            scores[index] = heat[index, 0, rows, columns][near].max(initial=0.0)
        return scores
