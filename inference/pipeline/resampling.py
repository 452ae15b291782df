"""Network input for detection: a whole picture at another scale, or a square window of it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from inference.arrays import Floats, Pixels
from inference.pipeline.detections import Detections

MULTIPLE_PX = 32


@dataclass(frozen=True, slots=True)
class Window:
    """A square crop of a picture, black outside it, with its corner and side in the picture's pixels."""

    pixels: Pixels
    left: int
    top: int
    side_px: int

    def resized(self, side_px: int) -> Pixels:
        return resized(self.pixels, (side_px, side_px))

    def to_window(self, box: Floats, side_px: int) -> Floats:
        """Convert a box from picture coordinates to the window resized to `side_px`."""
        shift = np.array([self.left, self.top] * 2, np.float32)
        return np.asarray((box - shift) * (side_px / self.side_px), np.float32)

    def to_picture(self, found: Detections, side_px: int) -> Detections:
        """Convert detections from the window resized to `side_px` to picture coordinates."""
        return found.mapped(self.side_px / side_px, (self.left, self.top))


def window(pixels: Pixels, box: Floats, times: float) -> Window:
    """Return the square window around a box, `times` as large as its longer side."""
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


def scaled(pixels: Pixels, scale: float) -> Pixels:
    """Return the whole picture at `scale`, with each side rounded up to a multiple of 32.

    It is first halved by area averaging, which is fast, as often as possible, and then resized bilinearly.
    Down to .7 bilinear sampling hardly aliases; below that, it doubled the number of false boxes in our
    measurement.
    """
    height, width = pixels.shape[:2]
    columns, rows = (-(-round(side * scale) // MULTIPLE_PX) or 1 for side in (width, height))
    size = (columns * MULTIPLE_PX, rows * MULTIPLE_PX)
    halvings = 0
    while size[0] < 0.7 * pixels.shape[1] and size[1] < 0.7 * pixels.shape[0]:
        pixels, halvings = halved(pixels), halvings + 1
    if pixels.shape[1] << halvings == width and pixels.shape[0] << halvings == height:
        if pixels.shape[1::-1] == size:
            return pixels
        return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    # Odd rows or columns were dropped: sample where the whole picture has its pixels.
    fx, fy = width / 2**halvings / size[0], height / 2**halvings / size[1]
    matrix = np.array([[fx, 0, 0.5 * fx - 0.5], [0, fy, 0.5 * fy - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(pixels, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize to (width, height), by area averaging if smaller and bilinearly if larger.

    Shrinks by halves first: OpenCV is ten times as fast for whole factors.
    """
    while pixels.shape[1] >= 2 * size[0] and pixels.shape[0] >= 2 * size[1]:
        pixels = halved(pixels)
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels
    smaller = size[0] < width or size[1] < height
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=method), np.uint8)


def halved(pixels: Pixels) -> Pixels:
    """Halve by area averaging; an odd last row or column is dropped.

    OpenCV is twenty times slower if the factor is not exactly two.
    """
    half_height, half_width = (max(1, side // 2) for side in pixels.shape[:2])
    even = pixels[: 2 * half_height, : 2 * half_width]
    return np.asarray(cv2.resize(even, (half_width, half_height), interpolation=cv2.INTER_AREA), np.uint8)
