"""From files to upright pixels, within limits that no file can pass."""

import struct
import time

import cv2
import numpy as np
import pytest

from inference.decoding import MAX_SCANS, Picture, upright
from inference.errors import ImageError
from tests.inference import images
from tests.inference.conftest import Encode


def refused(data: bytes) -> int:
    with pytest.raises(ImageError) as caught:
        Picture(data).level(1)
    return caught.value.code


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_ends_upright(portrait: np.ndarray, encode: Encode, orientation: int) -> None:
    scene = portrait[:400, 50:350]
    undo = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    stored = upright(scene, undo)
    picture = Picture(images.with_exif(encode(stored, ".jpg", 98), orientation))
    assert (picture.width_px, picture.height_px) == (300, 400)
    assert np.abs(picture.level(1).astype(int) - scene).mean() < 3


@pytest.mark.parametrize("reduction", [2, 4, 8])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_reduced_levels_show_the_same_picture(
    portrait: np.ndarray, encode: Encode, reduction: int, suffix: str
) -> None:
    scene = portrait[:504, :400]
    level = Picture(encode(scene, suffix)).level(reduction)
    assert level.shape == (504 // reduction, 400 // reduction, 3)
    expected = cv2.resize(scene, level.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(level.astype(int) - expected).mean() < 8


def test_sixteen_bits_grey_palette_and_progressive_files_are_served(
    portrait: np.ndarray, encode: Encode
) -> None:
    grey = cv2.cvtColor(portrait, cv2.COLOR_BGR2GRAY)
    assert np.array_equal(Picture(encode(portrait.astype(np.uint16) * 257, ".png")).level(1), portrait)
    assert np.array_equal(Picture(encode(grey, ".png")).level(1)[..., 0], grey)
    assert Picture(encode(grey, ".jpg")).level(1).shape == (512, 512, 3)
    assert Picture(images.png(colour=3)).level(1).shape == (64, 64, 3)
    done, data = cv2.imencode(".jpg", portrait, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    assert done
    assert Picture(data.tobytes()).level(1).shape == (512, 512, 3)


def test_only_critical_png_chunks_reach_the_decoder(portrait: np.ndarray, encode: Encode) -> None:
    data = encode(portrait, ".png")
    start = data.index(b"IDAT") - 4
    extra = images.chunk(b"iCCP", b"x\x00\x00" + bytes(1000)) + images.chunk(
        b"acTL", struct.pack(">II", 1 << 30, 0)
    )
    assert np.array_equal(Picture(data[:start] + extra + data[start:]).level(1), portrait)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
def test_a_file_cut_short_is_4003(portrait: np.ndarray, encode: Encode, suffix: str, share: float) -> None:
    data = encode(portrait, suffix)
    assert refused(data[: int(len(data) * share)]) == 4003


def test_damaged_png_data_is_4003() -> None:
    data = bytearray(images.png(200, 200))
    data[data.index(b"IDAT") + 12] ^= 0xFF
    assert refused(bytes(data)) == 4003


def test_a_jpeg_that_promises_too_much_is_refused_before_it_is_decoded(encode: Encode) -> None:
    data = bytearray(encode(np.zeros((64, 64, 3), np.uint8)))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", 7789, 56321)
    started = time.process_time()
    assert refused(bytes(data)) == 4008
    assert time.process_time() - started < 0.1


def test_a_jpeg_of_endless_scans_is_refused(portrait: np.ndarray) -> None:
    done, data = cv2.imencode(".jpg", portrait, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    assert done
    jpeg = data.tobytes()
    last_scan = jpeg.rindex(b"\xff\xda")
    assert refused(jpeg[:-2] + jpeg[last_scan:-2] * (MAX_SCANS + 1) + b"\xff\xd9") == 4003
