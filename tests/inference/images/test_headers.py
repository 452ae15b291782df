"""Files that are rejected before decoding, and their codes (manual 4.2.2)."""

import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import IMAGE_CODES, ImageError
from inference.images.formats.png import MAX_PROFILES
from inference.images.headers import MAX_BYTES, read_header
from tests.inference import pictures


def code_of(data: bytes) -> int:
    """Return the code of the header check; 0 if it accepts the file."""
    try:
        read_header(data)
    except ImageError as error:
        return error.code
    return 0


@pytest.mark.parametrize(
    ("side", "code"),
    [
        ((31, 64), 4008),
        ((64, 31), 4008),
        ((32, 32), 0),
        ((5000, 5000), 0),
        ((5001, 64), 4008),
        ((64, 5001), 4008),
        ((0, 64), 4008),
        ((65535, 65535), 4008),
    ],
)
@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_sides_from_32_to_5000_px_inclusive_are_accepted(side: tuple[int, int], code: int, kind: str) -> None:
    if kind == "jpeg":
        data = pictures.jpeg(pictures.jpeg_frame(*side))
    else:
        data = pictures.PNG + pictures.ihdr(*side) + pictures.chunk(b"IDAT", b"x") + pictures.chunk(b"IEND")
    assert code_of(data) == code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", 4012),
        (b"hello", 4012),
        (b"\xff\xd8", 4012),
        (b"GIF89a" + bytes(20), 4002),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", 4002),
        (b"BM" + bytes(60), 4002),
        (b"II*\x00" + bytes(60), 4002),
        (b"\x00\x00\x00\x18ftypavif" + bytes(20), 4002),
        (b"\x00\x00\x00\x18ftypmp42" + bytes(20), 4012),
        (b'<?xml version="1.0"?><svg xmlns="a">', 4002),
        (b"P6\n64 64\n255\n" + bytes(100), 4002),
        (pictures.PNG, 4003),
        (pictures.PNG + pictures.chunk(b"tEXt"), 4003),
        (pictures.PNG + pictures.ihdr(64, 64), 4003),
        (pictures.PNG + pictures.ihdr(64, 64)[:-1] + b"\x00" + pictures.chunk(b"IDAT"), 4003),
        (pictures.png(colour=3).replace(pictures.chunk(b"PLTE", bytes(768)), b""), 4003),
        (pictures.jpeg(), 4003),
        (pictures.jpeg(pictures.jpeg_frame(64, 64), pictures.jpeg_frame(64, 64)), 4003),
        (b"\xff\xd8\xff\xe0\xff\xff", 4003),
        (b"\xff\xd8" + b"\xff" * 10_000, 4003),
    ],
)
def test_unsupported_and_broken_files_are_rejected_by_their_codes(data: bytes, code: int) -> None:
    assert code_of(data) == code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (pictures.png(colour=0), 0),
        (pictures.png(colour=0, depth=1), 0),
        (pictures.png(colour=0, depth=16), 0),
        (pictures.png(colour=2, depth=16), 0),
        (pictures.png(colour=3), 0),
        (pictures.png(colour=4), 4002),
        (pictures.png(colour=6), 4002),
        (pictures.png(colour=3, extra=pictures.chunk(b"tRNS", b"\x00")), 4002),
        (pictures.png(colour=2, extra=pictures.chunk(b"tRNS", bytes(6))), 4002),
        (pictures.jpeg(pictures.jpeg_frame(64, 64, channels=1)), 0),
        (pictures.jpeg(pictures.jpeg_frame(64, 64, channels=4)), 4002),
        (pictures.jpeg(pictures.jpeg_frame(64, 64, depth=12, marker=0xC1)), 4002),
        (pictures.jpeg(pictures.jpeg_frame(64, 64, marker=0xC3)), 4002),
    ],
)
def test_only_grey_and_rgb_of_8_or_16_bits_without_alpha_are_accepted(data: bytes, code: int) -> None:
    assert code_of(data) == code


def test_ten_mebibytes_are_accepted_and_one_byte_more_is_not() -> None:
    data = pictures.png()
    assert code_of(data + bytes(MAX_BYTES - len(data))) == 0
    assert code_of(data + bytes(MAX_BYTES - len(data) + 1)) == 4009


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_read_in_both_formats_and_byte_orders(orientation: int, order: str) -> None:
    jpeg = pictures.with_exif(pictures.jpeg(pictures.jpeg_frame(200, 100)), orientation, order)
    exif = pictures.chunk(b"eXIf", pictures.tiff_orientation(orientation, order))
    for data in (jpeg, pictures.png(200, 100, extra=exif)):
        header = read_header(data)
        assert header.orientation == orientation
        assert header.upright_size_px == ((100, 200) if orientation >= 5 else (200, 100))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("field", ["B3x", "H2x", "I"])
def test_exif_orientation_may_be_a_byte_a_short_or_a_long(field: str, order: str) -> None:
    exif = b"Exif\x00\x00" + pictures.tiff_orientation(6, order, field)
    jpeg = pictures.jpeg(pictures.segment(0xE1, exif), pictures.jpeg_frame(200, 100))
    assert read_header(jpeg).orientation == 6


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
@pytest.mark.parametrize("name", [b"exif", b"APP1"])
def test_exif_of_a_png_may_be_a_raw_profile(kind: bytes, name: bytes) -> None:
    data = pictures.png(200, 100, extra=pictures.raw_profile(8, kind, name))
    assert read_header(data).orientation == 8


def test_exif_of_a_png_may_follow_its_pixels() -> None:
    data, end = pictures.png(200, 100), pictures.chunk(b"IEND")
    exif = pictures.chunk(b"eXIf", pictures.tiff_orientation(3))
    for extra in (exif, pictures.raw_profile(3)):
        assert read_header(data.removesuffix(end) + extra + end).orientation == 3


def test_the_exif_chunk_of_a_png_takes_precedence_over_a_raw_profile() -> None:
    exif = pictures.chunk(b"eXIf", pictures.tiff_orientation(6))
    assert read_header(pictures.png(extra=pictures.raw_profile(8) + exif)).orientation == 6


@pytest.mark.parametrize(
    "content",
    [
        b"Raw profile type exif\x00\x00not compressed",
        b"Raw profile type exif\x00\x00" + zlib.compress(bytes(100_000_000)),
        b"Raw profile type exif\x00\x00" + zlib.compress(b"\nexif\n 14\n4578696600004d4d002a000000080"),
        b"Raw profile type exif",
        b"",
    ],
)
def test_a_broken_raw_profile_counts_as_upright(content: bytes) -> None:
    assert read_header(pictures.png(extra=pictures.chunk(b"zTXt", content))).orientation == 1


def test_few_raw_profiles_of_a_png_are_read() -> None:
    """Each takes 2 ms, although it has 250 bytes; a valid one is found among the first."""
    bomb = pictures.chunk(
        b"zTXt", b"Raw profile type exif\x00\x00" + zlib.compress(b"exif " + b"1" * 196_608)
    )
    notes = [pictures.chunk(b"tEXt", b"Comment\x00%d" % number) for number in range(100)]
    valid = pictures.raw_profile(8)
    few, many = [bomb] * (MAX_PROFILES - 1), [bomb] * MAX_PROFILES
    assert read_header(pictures.png(extra=b"".join([*notes, *few, valid]))).orientation == 8
    assert read_header(pictures.png(extra=b"".join([*many, valid]))).orientation == 1


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_invalid_orientation_counts_as_upright(value: int) -> None:
    assert read_header(pictures.with_exif(pictures.jpeg(pictures.jpeg_frame(64, 64)), value)).orientation == 1


def test_garbage_before_a_marker_is_skipped_as_the_decoder_does() -> None:
    data = pictures.jpeg(pictures.segment(0xE0, b"") + b"garbage\xff\x00more", pictures.jpeg_frame(80, 60))
    assert read_header(data).upright_size_px == (80, 60)


def test_a_memoryview_is_read_like_bytes() -> None:
    data = pictures.png(48, 40)
    assert read_header(memoryview(data)) == read_header(data)


@given(
    st.sampled_from(
        [b"", pictures.PNG, pictures.PNG + pictures.ihdr(64, 64), b"\xff\xd8\xff", b"\xff\xd8\xff\xe1"]
    ),
    st.binary(max_size=300),
)
def test_any_bytes_give_a_header_or_a_documented_code(start: bytes, rest: bytes) -> None:
    assert code_of(start + rest) in {0, *IMAGE_CODES}


@pytest.mark.parametrize(
    "data",
    [
        pictures.PNG + pictures.ihdr(64, 64) + pictures.chunk(b"tEXt") * 800_000,
        b"\xff\xd8" + pictures.segment(0xFE, b"") * 2_000_000,
        b"\xff\xd8\xff\xe0\x00\x02" + b"\x00" * 9_000_000,
        b"\xff\xd8" + b"\xff" * 9_000_000,
        b"\xff\xd8" + b"\xff\x00" * 5_000_000,
        b"\xff\xd8\xff\xe0\x00\x02" + b"\xff\xd0" * 5_000_000,
    ],
    ids=["chunks", "segments", "garbage", "fill", "stuffing", "restarts"],
)
def test_headers_are_parsed_in_bounded_time(data: bytes) -> None:
    """The limit is a hundred times the usual time; an earlier parser took 8 s for stuffing bytes."""
    started = time.process_time()
    assert code_of(data) == 4003
    assert time.process_time() - started < 1.0


def test_a_picture_in_many_small_chunks_is_accepted() -> None:
    chunks = pictures.chunk(b"tEXt", bytes(1500)) * 5000
    assert code_of(pictures.png(extra=chunks)) == 0
