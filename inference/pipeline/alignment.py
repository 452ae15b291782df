"""Alignment of a face: a similarity transform maps its five landmarks onto a template."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inference.arrays import Pixels, Points

# The landmarks that SFace expects in its 112x112 input.
SFACE_TEMPLATE: Points = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
# The mean position of YuNet's landmarks in dlib's 150x150 chip with padding .25.
DLIB_TEMPLATE: Points = np.array(
    [[47.474, 44.761], [103.484, 45.784], [76.354, 77.292], [51.673, 101.197], [98.983, 101.622]]
)


@dataclass(frozen=True, slots=True)
class Aligned:
    """A face to be aligned: a picture and the face's landmarks (5, 2) in its pixels."""

    pixels: Pixels
    points: Points

    def chip(self, template: Points, side_px: int) -> Pixels:
        """Return the face as (side, side, 3) BGR uint8, with its landmarks mapped onto the template."""
        return chip(self.pixels, self.points, template, side_px)


def dlib_template(side_px: int, padding: float) -> Points:
    """Return DLIB_TEMPLATE for a chip of another side length and padding.

    `padding` is the margin on each side, as a share of the face.
    """
    bare = DLIB_TEMPLATE / 150 * 1.5 - 0.25
    return np.asarray((bare + padding) / (1 + 2 * padding) * side_px, np.float64)


def similarity(source: Points, target: Points) -> npt.NDArray[np.float64]:
    """Return the least-squares similarity transform (rotation, scale, shift), 2x3, onto `target`."""
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    p, q = source - source_mean, target - target_mean
    size = max(float((p * p).sum()), 1e-9)
    a = float((p * q).sum()) / size
    b = float((p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum()) / size
    linear = np.array([[a, -b], [b, a]])
    return np.column_stack([linear, target_mean - linear @ source_mean])


def chip(pixels: Pixels, points: Points, template: Points, side_px: int) -> Pixels:
    """Return the aligned face, (side, side, 3) uint8, with edge pixels repeated outside the picture.

    A face much larger than the chip is first shrunk by area averaging, because bilinear sampling alone would
    alias.
    """
    matrix = similarity(points, template)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 0.6:
        pixels, matrix = _shrink(pixels, matrix, scale, side_px)
    return np.asarray(
        cv2.warpAffine(
            pixels, matrix, (side_px, side_px), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        ),
        np.uint8,
    )


def _shrink(
    pixels: Pixels, matrix: npt.NDArray[np.float64], scale: float, side_px: int
) -> tuple[Pixels, npt.NDArray[np.float64]]:
    """Return the part of the picture that the chip needs, at about the chip's scale, and its transform."""
    height, width = pixels.shape[:2]
    inverse = cv2.invertAffineTransform(matrix)
    corners = np.array([[0, 0, 1], [side_px, 0, 1], [0, side_px, 1], [side_px, side_px, 1]]) @ inverse.T
    margin = 2 / scale
    left, top = np.clip(np.floor(corners.min(axis=0) - margin), 0, [width - 1, height - 1]).astype(int)
    right, bottom = np.clip(
        np.ceil(corners.max(axis=0) + margin), [left + 1, top + 1], [width, height]
    ).astype(int)
    part = pixels[top:bottom, left:right]
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    small = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
    fx, fy = part.shape[1] / size[0], part.shape[0] / size[1]
    # small pixel (u, v) has its centre at ((u + .5) * fx - .5 + left, ...) in the picture
    to_picture = np.array([[fx, 0, 0.5 * fx - 0.5 + left], [0, fy, 0.5 * fy - 0.5 + top], [0, 0, 1]])
    return small, (np.vstack([matrix, [0, 0, 1]]) @ to_picture)[:2]
