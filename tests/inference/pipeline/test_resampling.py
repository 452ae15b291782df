"""The inputs of the face detector: windows, whole views, tiles."""

import cv2
import numpy as np
import pytest

from inference.pipeline import tiles
from inference.pipeline.resampling import scaled, window


@pytest.mark.parametrize("box", [(10, 10, 20, 20), (-15, -15, 5, 5), (95, 40, 140, 90), (300, 300, 320, 320)])
def test_a_window_is_a_square_around_its_box(box: tuple[int, int, int, int]) -> None:
    pixels = np.full((50, 100, 3), 9, np.uint8)
    view = window(pixels, np.array(box, np.float32), 2.0)
    assert view.pixels.shape == (view.side_px, view.side_px, 3)
    middle = (
        view.to_window(np.array(box, np.float32), 64)[:2] + view.to_window(np.array(box, np.float32), 64)[2:]
    ) / 2
    assert middle == pytest.approx(np.array([32, 32]), abs=2)


@pytest.mark.parametrize("scale", [0.03, 0.2, 0.5, 0.69, 0.9, 1.0, 2.5])
def test_a_whole_view_fills_multiples_of_32_and_shows_everything(scale: float) -> None:
    pixels = np.full((75, 333, 3), 77, np.uint8)
    pixels[:, 167:] = 177
    view = scaled(pixels, scale)
    height, width = view.shape[:2]
    assert (height % 32, width % 32) == (0, 0)
    assert 0 <= height - round(75 * scale) < 32
    assert 0 <= width - round(333 * scale) < 32
    assert (view[:, : width // 2 - 2] == 77).all()
    assert (view[:, width // 2 + 3 :] == 177).all()


@pytest.mark.parametrize(("width", "height"), [(131, 95), (135, 128), (128, 135), (263, 399)])
def test_halving_an_odd_size_does_not_shift_the_picture(width: int, height: int) -> None:
    """Halving drops an odd last row or column, which must not shift the rest: two ramps keep their values."""
    across, down = np.linspace(0, 250, width), np.linspace(0, 250, height)
    pixels = np.dstack(np.broadcast_arrays(across, down[:, None], 0.0)).astype(np.uint8)
    view = scaled(pixels, 0.24).astype(float)
    rows, columns = view.shape[:2]
    for channel, length, side in ((0, columns, width), (1, rows, height)):
        places = ((np.arange(length) + 0.5) * side / length - 0.5) * 250 / (side - 1)
        seen = view[rows // 2, :, 0] if channel == 0 else view[:, columns // 2, 1]
        assert np.abs(seen - places)[1:-1].max() < 2


def detail(random: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Return noise of the highest frequency."""
    return random.integers(0, 255, (height, width, 3), dtype=np.uint8)


def lies_inside(left: int, top: int, right: int, bottom: int, tile: tiles.Tile) -> bool:
    return (
        tile.left <= left
        and tile.top <= top
        and right <= tile.left + tile.side_px
        and bottom <= tile.top + tile.side_px
    )


def test_only_regions_with_fine_detail_are_searched() -> None:
    random = np.random.default_rng(0)
    flat = np.full((700, 900, 3), 120, np.uint8)
    assert tiles.select_tiles(flat) == []
    spots = [(800, 600), (0, 0), (884, 684), (400, 320), (375, 336)]
    for left, top in spots:
        flat[top : top + 16, left : left + 16] = detail(random, 16, 16)
    plan = tiles.select_tiles(flat)
    assert len(plan) < len(spots)
    for left, top in spots:
        around = (max(left - 16, 0), max(top - 16, 0), min(left + 32, 900), min(top + 32, 700))
        assert any(lies_inside(*around, tile) for tile in plan)
    assert all((tile.crop(flat) != 120).any() for tile in plan)


def test_an_enlarged_picture_has_no_fine_detail_however_strong_its_edges() -> None:
    sharp = detail(np.random.default_rng(0), 225, 175)
    assert tiles.detail_cells(sharp).all()
    assert tiles.select_tiles(cv2.resize(sharp, None, fx=6, fy=6, interpolation=cv2.INTER_CUBIC)) == []


def test_a_crowded_region_is_one_tile_and_the_cost_is_bounded() -> None:
    random = np.random.default_rng(0)
    crowd = np.full((900, 1300, 3), 120, np.uint8)
    crowd[0:320, 320:640] = detail(random, 320, 320)
    crowd[700:716, 1000:1016] = detail(random, 16, 16)
    small, large = (tiles.INPUT_PX[core] for core in (tiles.SMALL_CORE, tiles.LARGE_CORE))
    plan = tiles.select_tiles(crowd)
    assert [tile.input_px for tile in plan].count(large) == 1
    assert any(lies_inside(320, 0, 640, 320, tile) for tile in plan)
    assert any(lies_inside(990, 690, 1026, 726, tile) for tile in plan if tile.input_px == small)
    for apart in (16, 64, 96, 128, 160):
        frame = np.full((1500, 2000, 3), 120, np.uint8)
        for top in range(0, 1484, apart):
            for left in range(0, 1984, apart):
                frame[top : top + 16, left : left + 16] = detail(random, 16, 16)
        looked_at = sum(tile.input_px**2 for tile in tiles.select_tiles(frame))
        assert looked_at < 4.5 * 1500 * 2000


def test_a_tile_past_the_edge_is_padded_with_black() -> None:
    noise = detail(np.random.default_rng(0), 100, 400)
    tile = tiles.Tile(0, 0, 144, 288).crop(noise)
    assert tile.shape == (288, 288, 3)
    assert (tile[:, 202:] == 0).all()
    assert (tile[:, :198] != 0).any()
