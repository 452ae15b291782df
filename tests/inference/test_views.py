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


def test_only_tiles_with_fine_detail_are_looked_at() -> None:
    flat = np.full((700, 900, 3), 120, np.uint8)
    assert tiles.detailed(flat) == []
    flat[600:616, 800:816] = np.random.default_rng(0).integers(0, 255, (16, 16, 3))
    corners = tiles.detailed(flat)
    assert corners
    for corner in corners:
        assert (tiles.cut(flat, corner) != 120).any()
