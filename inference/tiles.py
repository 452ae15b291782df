"""The parts of a large photograph that small faces could hide in: tiles with fine detail."""

from __future__ import annotations

import cv2
import numpy as np

from inference.runtime import Pixels

TILE_PX = 192
TILE_OVERLAP_PX = 48
STEP_PX = TILE_PX - TILE_OVERLAP_PX
CELL_PX = 16
DETAIL_LEVEL = 9.0
MAX_SHARE = 0.6


def detailed(pixels: Pixels) -> list[tuple[int, int]]:
    """(left, top) of the tiles in which some cell of 16x16 px would lose by being halved: a small face
    would, an enlarged picture or a blurred background would not.
    """
    height, width = pixels.shape[:2]
    green = cv2.extractChannel(pixels, 1)
    coarse = cv2.resize(green, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
    lost = cv2.absdiff(green, cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR))
    grid = (max(1, width // CELL_PX), max(1, height // CELL_PX))
    whole_cells = lost[: grid[1] * CELL_PX, : grid[0] * CELL_PX]
    detail = cv2.resize(whole_cells, grid, interpolation=cv2.INTER_AREA) >= DETAIL_LEVEL
    corners = []
    for top in range(0, max(1, height - TILE_OVERLAP_PX), STEP_PX):
        for left in range(0, max(1, width - TILE_OVERLAP_PX), STEP_PX):
            rows = slice(top // CELL_PX, (top + TILE_PX) // CELL_PX)
            columns = slice(left // CELL_PX, (left + TILE_PX) // CELL_PX)
            if detail[rows, columns].any():
                corners.append((left, top))
    return corners


def too_many(count: int, pixels: Pixels) -> bool:
    """Whether looking at the whole at once costs less than looking at this many tiles."""
    height, width = pixels.shape[:2]
    return count > MAX_SHARE * (height / STEP_PX) * (width / STEP_PX)


def cut(pixels: Pixels, corner: tuple[int, int]) -> Pixels:
    """One tile, black where it passes the edges."""
    left, top = corner
    tile = pixels[top : top + TILE_PX, left : left + TILE_PX]
    if tile.shape[:2] == (TILE_PX, TILE_PX):
        return tile
    full = np.zeros((TILE_PX, TILE_PX, 3), np.uint8)
    full[: tile.shape[0], : tile.shape[1]] = tile
    return full
