"""Tiles of a large photograph with fine detail, where small faces may be.

The numbers behind the constants: docs/decisions/0303-detection.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from inference.arrays import Floats, Pixels
from inference.pipeline.resampling import halved

CELL_PX = 8
DETAIL_LEVEL = 6.5
BLUR_RATIO = 1.5
# The core of a tile, in cells along each side. Faces that start in the core fit into the margin around it.
SMALL_CORE, LARGE_CORE = 10, 40
MARGIN_PX = 32
# A large tile costs as much as four small ones, but enlarges its sixteen parts less.
DENSE_PARTS = 8
INPUT_PX = {SMALL_CORE: 288, LARGE_CORE: 576}

Cells = npt.NDArray[np.bool_]
Grey = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Tile:
    """A square of the picture with sides of `side_px`, to be resized to `input_px`, a multiple of 32."""

    left: int
    top: int
    side_px: int
    input_px: int

    def crop(self, pixels: Pixels) -> Pixels:
        """Return the tile as (input_px, input_px, 3), black outside the picture."""
        tile = pixels[self.top : self.top + self.side_px, self.left : self.left + self.side_px]
        if tile.shape[:2] != (self.side_px, self.side_px):
            full = np.zeros((self.side_px, self.side_px, 3), np.uint8)
            full[: tile.shape[0], : tile.shape[1]] = tile
            tile = full
        size = (self.input_px, self.input_px)
        return np.asarray(cv2.resize(tile, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def select_tiles(pixels: Pixels) -> list[Tile]:
    """Return tiles that cover all cells with fine detail: large ones if it is dense, small ones otherwise."""
    cells = detail_cells(pixels)
    corners: list[tuple[int, int, int]] = []
    fine_parts = _reduce_blocks(np.logical_or, cells, SMALL_CORE)
    crowded = _reduce_blocks(np.add, fine_parts.astype(np.intp), LARGE_CORE // SMALL_CORE) >= DENSE_PARTS
    for row, column in (np.argwhere(crowded) * LARGE_CORE).tolist():
        cells[row : row + LARGE_CORE, column : column + LARGE_CORE] = False
        corners.append((row, column, LARGE_CORE))
    while cells.any():
        row, column = divmod(int(cells.argmax()), cells.shape[1])
        # Move the tile to the left, as far as it still covers this cell, if that covers another cell too.
        leftmost = max(column - SMALL_CORE + 1, 0)
        covered = cells[row : row + SMALL_CORE, leftmost : column + 1].any(axis=0)
        column = leftmost + int(covered.argmax())
        cells[row : row + SMALL_CORE, column : column + SMALL_CORE] = False
        corners.append((row, column, SMALL_CORE))
    height, width = pixels.shape[:2]
    tiles = []
    for row, column, core in corners:
        side_px = core * CELL_PX + 2 * MARGIN_PX
        left = max(0, min(column * CELL_PX - MARGIN_PX, width - side_px))
        top = max(0, min(row * CELL_PX - MARGIN_PX, height - side_px))
        tiles.append(Tile(left, top, side_px, INPUT_PX[core]))
    return tiles


def detail_cells(pixels: Pixels) -> Cells:
    """Return which cells of CELL_PX, with their right and lower neighbours, would lose detail if halved.

    A small face would. An upscaled picture or a blurred background has its detail one octave lower: halving
    it a second time loses far more, and such cells are discounted.
    """
    height, width = (max(4, side // 4 * 4) for side in pixels.shape[:2])  # so that it can be halved twice
    grey = np.asarray(cv2.extractChannel(pixels[:height, :width], 1), np.uint8)
    half = halved(grey)
    fine, coarse = lost_detail(grey, half, CELL_PX), lost_detail(half, halved(half), CELL_PX // 2)
    rows, columns = np.minimum(fine.shape, coarse.shape)
    fine, coarse = (
        np.asarray(cv2.blur(lost[:rows, :columns], (2, 2), anchor=(0, 0)), np.float32)
        for lost in (fine, coarse)
    )
    return np.asarray(fine * np.minimum(1, BLUR_RATIO * fine / (coarse + 1e-3)) >= DETAIL_LEVEL)


def lost_detail(grey: Grey, half: Grey, cell_px: int) -> Floats:
    """Return the mean difference from the halved and enlarged copy for each cell, in grey levels."""
    enlarged = cv2.resize(half, grey.shape[::-1], interpolation=cv2.INTER_LINEAR)
    rows, columns = max(1, grey.shape[0] // cell_px), max(1, grey.shape[1] // cell_px)
    lost = np.asarray(cv2.absdiff(grey, enlarged), np.uint8)[: rows * cell_px, : columns * cell_px]
    while lost.shape[0] > rows:  # halving repeatedly is twice as fast in OpenCV as reducing by 8
        lost = halved(lost)
    return np.asarray(lost, np.float32)


def _reduce_blocks(reduce: np.ufunc, cells: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    """Reduce each block of side x side cells to one value; blocks at the edges may be smaller."""
    for axis in (0, 1):
        cells = reduce.reduceat(cells, range(0, cells.shape[axis], side), axis=axis)
    return cells
