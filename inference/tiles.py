"""The parts of a large photograph that small faces could hide in: tiles with fine detail."""

from __future__ import annotations

import cv2
import numpy as np

from inference.runtime import Pixels

CELL_PX = 16
DETAIL_LEVEL = 8.0
# A tile is made for one cell and serves the 5x5 to its right and below: any face of 48 px that touches one of
# them lies wholly inside.
TILE_PX = 144
MARGIN_PX = 32
CORE_CELLS = (TILE_PX - 2 * MARGIN_PX) // CELL_PX
# YuNet misses one face in fifteen of 20 px; a third larger, one in a hundred.
ENLARGED = 4 / 3
SEEN_PX = 192


def detailed(pixels: Pixels) -> list[tuple[int, int]]:
    """(left, top) of tiles around all the cells of 16x16 px that would lose by being halved: a small face
    would, an enlarged picture or a blurred background would not.
    """
    height, width = pixels.shape[:2]
    green = cv2.extractChannel(pixels, 1)
    coarse = cv2.resize(green, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
    lost = cv2.absdiff(green, cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR))
    grid = (max(1, width // CELL_PX), max(1, height // CELL_PX))
    whole_cells = lost[: grid[1] * CELL_PX, : grid[0] * CELL_PX]
    open_cells = cv2.resize(whole_cells, grid, interpolation=cv2.INTER_AREA) >= DETAIL_LEVEL
    corners = []
    while open_cells.any():
        row, column = divmod(int(open_cells.argmax()), grid[0])
        open_cells[row : row + CORE_CELLS, column : column + CORE_CELLS] = False
        left = min(column * CELL_PX - MARGIN_PX, width - TILE_PX)
        top = min(row * CELL_PX - MARGIN_PX, height - TILE_PX)
        corners.append((max(0, left), max(0, top)))
    return corners


def too_many(count: int, pixels: Pixels) -> bool:
    """Whether this many tiles are more pixels than the whole."""
    return count * TILE_PX**2 > pixels.shape[0] * pixels.shape[1]


def cut(pixels: Pixels, corner: tuple[int, int]) -> Pixels:
    """One tile, ENLARGED to SEEN_PX; black where it passes the edges."""
    left, top = corner
    tile = pixels[top : top + TILE_PX, left : left + TILE_PX]
    if tile.shape[:2] != (TILE_PX, TILE_PX):
        full = np.zeros((TILE_PX, TILE_PX, 3), np.uint8)
        full[: tile.shape[0], : tile.shape[1]] = tile
        tile = full
    return np.asarray(cv2.resize(tile, (SEEN_PX, SEEN_PX), interpolation=cv2.INTER_LINEAR), np.uint8)
