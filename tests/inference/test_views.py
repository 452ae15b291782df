"""What the detectors look at: windows, whole views, tiles."""

import numpy as np
import pytest

from inference import tiles
from inference.views import whole, window


@pytest.mark.parametrize("box", [(10, 10, 20, 20), (-15, -15, 5, 5), (95, 40, 140, 90), (300, 300, 320, 320)])
def test_a_window_is_a_square_around_its_box_wherever_that_lies(box: tuple[int, int, int, int]) -> None:
    pixels = np.full((50, 100, 3), 9, np.uint8)
    view = window(pixels, np.array(box, np.float32), 2.0)
    assert view.pixels.shape == (view.side_px, view.side_px, 3)
    middle = (
        view.inside(np.array(box, np.float32), 64)[:2] + view.inside(np.array(box, np.float32), 64)[2:]
    ) / 2
    assert middle == pytest.approx(np.array([32, 32]), abs=2)


@pytest.mark.parametrize("scale", [0.03, 0.2, 0.5, 0.69, 0.9, 1.0, 2.5])
def test_a_whole_view_fills_multiples_of_32_and_shows_everything(scale: float) -> None:
    pixels = np.full((75, 333, 3), 77, np.uint8)
    pixels[:, 167:] = 177
    view = whole(pixels, scale)
    height, width = view.shape[:2]
    assert (height % 32, width % 32) == (0, 0)
    assert 0 <= height - round(75 * scale) < 32
    assert 0 <= width - round(333 * scale) < 32
    assert (view[:, : width // 2 - 2] == 77).all()
    assert (view[:, width // 2 + 3 :] == 177).all()


def test_only_fine_detail_is_looked_at_and_all_around_it() -> None:
    flat = np.full((700, 900, 3), 120, np.uint8)
    assert tiles.detailed(flat) == []
    spots = [(800, 600), (0, 0), (884, 684), (400, 320), (416, 336)]
    for left, top in spots:
        flat[top : top + 16, left : left + 16] = np.random.default_rng(0).integers(0, 255, (16, 16, 3))
    corners = tiles.detailed(flat)
    assert len(corners) < len(spots)
    for left, top in spots:
        assert any(
            x <= max(left - 32, 0)
            and y <= max(top - 32, 0)
            and min(left + 48, 900) <= x + tiles.TILE_PX
            and min(top + 48, 700) <= y + tiles.TILE_PX
            for x, y in corners
        )
    assert all((tiles.cut(flat, corner) != 120).any() for corner in corners)


def test_tiles_of_a_picture_of_noise_are_too_many_and_one_past_the_edge_is_black_there() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (400, 600, 3), dtype=np.uint8)
    assert tiles.too_many(len(tiles.detailed(noise)), noise)
    assert not tiles.too_many(1, noise)
    tile = tiles.cut(noise, (500, 0))
    assert tile.shape == (tiles.SEEN_PX, tiles.SEEN_PX, 3)
    assert (tile[:, 140:] == 0).all()
