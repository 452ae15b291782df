"""Decoding of files to upright pixels, within limits that no file can exceed."""

import re
import struct
import time

import cv2
import numpy as np
import pytest

from inference.errors import ImageError
from inference.images.decoding import MAX_SCANS, Picture, upright
from tests.inference import pictures
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
    picture = Picture(pictures.with_exif(encode(stored, ".jpg", 98), orientation))
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


@pytest.mark.parametrize("reduction", [2, 4, 8])
def test_a_reduced_png_of_an_odd_size_averages_whole_blocks(encode: Encode, reduction: int) -> None:
    """Boxes of a reduced picture are multiplied by the reduction, so each pixel must be that of its block."""
    pixels = np.random.default_rng(0).integers(0, 255, (101, 67, 3), dtype=np.uint8)
    level = Picture(encode(pixels, ".png")).level(reduction)
    assert level.shape == (-(-101 // reduction), -(-67 // reduction), 3)
    rows, columns = 101 // reduction, 67 // reduction
    blocks = pixels[: rows * reduction, : columns * reduction].reshape(rows, reduction, columns, reduction, 3)
    assert np.abs(level[:rows, :columns] - blocks.mean(axis=(1, 3))).max() < 1


def test_16_bit_grey_palette_and_progressive_files_are_decoded(portrait: np.ndarray, encode: Encode) -> None:
    grey = cv2.cvtColor(portrait, cv2.COLOR_BGR2GRAY)
    assert np.array_equal(Picture(encode(portrait.astype(np.uint16) * 257, ".png")).level(1), portrait)
    assert np.array_equal(Picture(encode(grey, ".png")).level(1)[..., 0], grey)
    assert Picture(encode(grey, ".jpg")).level(1).shape == (512, 512, 3)
    assert Picture(pictures.png(colour=3)).level(1).shape == (64, 64, 3)
    done, data = cv2.imencode(".jpg", portrait, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    assert done
    assert Picture(data.tobytes()).level(1).shape == (512, 512, 3)


def test_only_critical_png_chunks_reach_the_decoder(portrait: np.ndarray, encode: Encode) -> None:
    data = encode(portrait, ".png")
    start = data.index(b"IDAT") - 4
    extra = pictures.chunk(b"iCCP", b"x\x00\x00" + bytes(1000)) + pictures.chunk(
        b"acTL", struct.pack(">II", 1 << 30, 0)
    )
    assert np.array_equal(Picture(data[:start] + extra + data[start:]).level(1), portrait)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
def test_a_file_cut_short_is_4003(portrait: np.ndarray, encode: Encode, suffix: str, share: float) -> None:
    data = encode(portrait, suffix)
    assert refused(data[: int(len(data) * share)]) == 4003


JPEG_KINDS = {
    "baseline": [],
    "progressive": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    "restarts": [cv2.IMWRITE_JPEG_RST_INTERVAL, 4],
    "progressive with restarts": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 4],
}


@pytest.fixture(params=["colour", "grey"])
def pixels(portrait: np.ndarray, request: pytest.FixtureRequest) -> np.ndarray:
    """Return a part whose sides are not multiples of a block."""
    part = np.ascontiguousarray(portrait[:333, 40:357])
    return cv2.cvtColor(part, cv2.COLOR_BGR2GRAY) if request.param == "grey" else part


@pytest.fixture(params=JPEG_KINDS)
def jpeg(pixels: np.ndarray, request: pytest.FixtureRequest) -> bytes:
    done, data = cv2.imencode(".jpg", pixels, JPEG_KINDS[request.param])
    assert done
    return data.tobytes()


@pytest.mark.parametrize(
    "tail",
    [
        b"\x00\x00\x00\x18ftypmp42" + b"\xff\xda\xff\xc0\xff\xd8" * 500,
        b"\xff\xd8\xff\xe0" + bytes(100),
        bytes(100_000),
    ],
    ids=["video", "second picture", "padding"],
)
def test_what_follows_the_end_marker_is_ignored(jpeg: bytes, tail: bytes) -> None:
    assert np.array_equal(Picture(jpeg + tail).level(1), Picture(jpeg).level(1))


def test_a_thumbnail_with_its_own_markers_does_not_end_the_picture(jpeg: bytes) -> None:
    thumbnail = pictures.segment(0xE1, b"Exif\x00\x00" + jpeg[:20_000] + b"\xff\xda\xff\xd9" * 200)
    assert np.array_equal(
        Picture(jpeg[:2] + thumbnail + jpeg[2:]).level(1),
        Picture(jpeg).level(1),
    )


@pytest.mark.parametrize("tail", [b"", b"\xff", bytes(512)], ids=["nothing", "half", "padding"])
def test_a_jpeg_that_lacks_only_its_end_marker_is_decoded(jpeg: bytes, tail: bytes) -> None:
    assert np.array_equal(Picture(jpeg.removesuffix(b"\xff\xd9") + tail).level(1), Picture(jpeg).level(1))


def test_a_jpeg_that_is_cut_in_the_middle_is_4003(jpeg: bytes) -> None:
    """Cut in a header, in a scan, between two scans, before and after a restart marker."""
    markers = [match.start() for match in re.finditer(rb"\xff[\xc4\xda\xd0-\xd7]", jpeg)]
    cuts = {*range(50, len(jpeg) - 200, len(jpeg) // 29), *markers[-40:], *(m + 2 for m in markers[-40:])}
    served = [cut for cut in sorted(cuts) if code_of(jpeg[:cut]) != 4003]
    assert served == []


def code_of(data: bytes) -> int:
    try:
        Picture(data).level(1)
    except ImageError as error:
        return error.code
    return 0


def test_damaged_png_data_is_4003() -> None:
    data = bytearray(pictures.png(200, 200))
    data[data.index(b"IDAT") + 12] ^= 0xFF
    assert refused(bytes(data)) == 4003


def test_a_jpeg_with_implausible_dimensions_is_rejected_before_decoding(encode: Encode) -> None:
    data = bytearray(encode(np.zeros((64, 64, 3), np.uint8)))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", 7789, 56321)
    started = time.process_time()
    assert refused(bytes(data)) == 4008
    assert time.process_time() - started < 0.1


def test_a_jpeg_with_too_many_scans_is_rejected(portrait: np.ndarray) -> None:
    done, data = cv2.imencode(".jpg", portrait, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    assert done
    jpeg = data.tobytes()
    last_scan = jpeg.rindex(b"\xff\xda")
    assert refused(jpeg[:-2] + jpeg[last_scan:-2] * (MAX_SCANS + 1) + b"\xff\xd9") == 4003
