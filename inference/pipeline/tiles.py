"""The parts of a large photograph that small faces could hide in: tiles with fine detail.

The numbers behind the constants: docs/decisions/0303-detection.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from inference.arrays import Floats, Pixels

CELL_PX = 8
DETAIL_LEVEL = 6.5
BLUR_RATIO = 1.5
# What a tile serves, in cells along each side; around it there is room for the rest of a face.
SMALL_CORE, LARGE_CORE = 10, 40
MARGIN_PX = 32
# A large tile costs as much as four small ones, but shows its sixteen parts less enlarged.
CROWDED_PARTS = 8
SEEN_PX = {SMALL_CORE: 288, LARGE_CORE: 576}

Cells = npt.NDArray[np.bool_]
Grey = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Tile:
    """A square of the picture, `side_px` there, to be looked at enlarged to `seen_px`, a multiple of 32."""

    left: int
    top: int
    side_px: int
    seen_px: int

    def cut(self, pixels: Pixels) -> Pixels:
        """(seen_px, seen_px, 3), black where the tile passes the edges."""
        tile = pixels[self.top : self.top + self.side_px, self.left : self.left + self.side_px]
        if tile.shape[:2] != (self.side_px, self.side_px):
            full = np.zeros((self.side_px, self.side_px, 3), np.uint8)
            full[: tile.shape[0], : tile.shape[1]] = tile
            tile = full
        size = (self.seen_px, self.seen_px)
        return np.asarray(cv2.resize(tile, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def detailed(pixels: Pixels) -> list[Tile]:
    """Tiles around all the cells with fine detail: large ones where it is dense, small ones for the rest."""
    cells = fine_cells(pixels)
    corners: list[tuple[int, int, int]] = []
    fine_parts = _by_blocks(np.logical_or, cells, SMALL_CORE)
    crowded = _by_blocks(np.add, fine_parts.astype(np.intp), LARGE_CORE // SMALL_CORE) >= CROWDED_PARTS
    for row, column in (np.argwhere(crowded) * LARGE_CORE).tolist():
        cells[row : row + LARGE_CORE, column : column + LARGE_CORE] = False
        corners.append((row, column, LARGE_CORE))
    while cells.any():
        row, column = divmod(int(cells.argmax()), cells.shape[1])
        # as far to the left as still serves this cell, if that serves another one
        leftmost = max(column - SMALL_CORE + 1, 0)
        served = cells[row : row + SMALL_CORE, leftmost : column + 1].any(axis=0)
        column = leftmost + int(served.argmax())
        cells[row : row + SMALL_CORE, column : column + SMALL_CORE] = False
        corners.append((row, column, SMALL_CORE))
    height, width = pixels.shape[:2]
    tiles = []
    for row, column, core in corners:
        side_px = core * CELL_PX + 2 * MARGIN_PX
        left = max(0, min(column * CELL_PX - MARGIN_PX, width - side_px))
        top = max(0, min(row * CELL_PX - MARGIN_PX, height - side_px))
        tiles.append(Tile(left, top, side_px, SEEN_PX[core]))
    return tiles


def fine_cells(pixels: Pixels) -> Cells:
    """Which cells of CELL_PX, each with its neighbours to the right and below, would lose by being halved.

    A small face would. An enlarged picture or a blurred background has its detail one octave lower: what
    halving once more would lose is so much larger there that the cell is discounted.
    """
    grey = np.asarray(cv2.extractChannel(pixels, 1), np.uint8)
    half = _halved(grey)
    fine, coarse = _lost(grey, half, CELL_PX), _lost(half, _halved(half), CELL_PX // 2)
    rows, columns = np.minimum(fine.shape, coarse.shape)
    fine, coarse = (
        np.asarray(cv2.blur(lost[:rows, :columns], (2, 2), anchor=(0, 0)), np.float32)
        for lost in (fine, coarse)
    )
    return np.asarray(fine * np.minimum(1, BLUR_RATIO * fine / (coarse + 1e-3)) >= DETAIL_LEVEL)


def _halved(grey: Grey) -> Grey:
    size = (max(1, grey.shape[1] // 2), max(1, grey.shape[0] // 2))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


def _lost(grey: Grey, half: Grey, cell_px: int) -> Floats:
    """Mean difference from the halved and enlarged copy in each cell, (rows, columns) grey levels."""
    enlarged = cv2.resize(half, grey.shape[::-1], interpolation=cv2.INTER_LINEAR)
    rows, columns = max(1, grey.shape[0] // cell_px), max(1, grey.shape[1] // cell_px)
    lost = np.asarray(cv2.absdiff(grey, enlarged), np.uint8)[: rows * cell_px, : columns * cell_px]
    while lost.shape[0] > rows:  # by halves, which OpenCV does twice as quickly as by eighths
        lost = _halved(lost)
    return np.asarray(lost, np.float32)


def _by_blocks(reduce: np.ufunc, cells: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    """One value for each block of side x side cells; those at the right and lower edge may be smaller."""
    for axis in (0, 1):
        cells = reduce.reduceat(cells, range(0, cells.shape[axis], side), axis=axis)
    return cells
