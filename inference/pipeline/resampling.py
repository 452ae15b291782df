"""What the detectors look at: a whole picture at another scale, or a square window of it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from inference.arrays import Floats, Pixels
from inference.pipeline.detections import Detections

MULTIPLE_PX = 32


@dataclass(frozen=True, slots=True)
class Window:
    """A square cut out of a picture, black where it passes the edges; its corner and side in the picture."""

    pixels: Pixels
    left: int
    top: int
    side_px: int

    def resized(self, side_px: int) -> Pixels:
        return resized(self.pixels, (side_px, side_px))

    def inside(self, box: Floats, side_px: int) -> Floats:
        """A box of the picture in the pixels of the window resized to `side_px`."""
        shift = np.array([self.left, self.top] * 2, np.float32)
        return np.asarray((box - shift) * (side_px / self.side_px), np.float32)

    def outside(self, found: Detections, side_px: int) -> Detections:
        """What was found in the window resized to `side_px`, in the pixels of the picture."""
        return found.mapped(self.side_px / side_px, (self.left, self.top))


def window(pixels: Pixels, box: Floats, times: float) -> Window:
    """The window around a box, `times` as large as its longer side."""
    height, width = pixels.shape[:2]
    side = max(8, round(float((box[2:] - box[:2]).max()) * times))
    left, top = (round(float(box[i] + box[i + 2]) / 2 - side / 2) for i in (0, 1))
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    cut = pixels[y0 : max(y1, y0), x0 : max(x1, x0)]
    if cut.shape[:2] != (side, side):
        black = np.zeros((side, side, 3), np.uint8)
        black[y0 - top : y0 - top + cut.shape[0], x0 - left : x0 - left + cut.shape[1]] = cut
        cut = black
    return Window(cut, left, top, side)


def whole(pixels: Pixels, scale: float) -> Pixels:
    """The whole picture at `scale`, each side stretched to the next multiple of 32.

    Halved, which is quick, then by straight lines. Down to .7 straight lines alone hardly alias; below, they
    would, and false boxes doubled in the measurement.
    """
    height, width = pixels.shape[:2]
    columns, rows = (-(-round(side * scale) // MULTIPLE_PX) or 1 for side in (width, height))
    size = (columns * MULTIPLE_PX, rows * MULTIPLE_PX)
    while size[0] < 0.7 * pixels.shape[1] and size[1] < 0.7 * pixels.shape[0]:
        half = (pixels.shape[1] // 2, pixels.shape[0] // 2)
        pixels = np.asarray(cv2.resize(pixels, half, interpolation=cv2.INTER_AREA), np.uint8)
    if pixels.shape[1::-1] == size:
        return pixels
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """To (width, height); shrunk by area, enlarged by straight lines.

    Shrunk by halves as far as that goes: OpenCV is ten times as quick where the factor is whole.
    """
    while pixels.shape[1] >= 2 * size[0] and pixels.shape[0] >= 2 * size[1]:
        pixels = _halved(pixels)
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels
    smaller = size[0] < width or size[1] < height
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=method), np.uint8)


def _halved(pixels: Pixels) -> Pixels:
    """By area; an odd last row or column is left out."""
    half_height, half_width = pixels.shape[0] // 2, pixels.shape[1] // 2
    even = pixels[: 2 * half_height, : 2 * half_width]
    return np.asarray(cv2.resize(even, (half_width, half_height), interpolation=cv2.INTER_AREA), np.uint8)
