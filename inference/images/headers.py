"""Validate an image by its header, without decoding it (manual 4.2.2).

The web process rejects invalid images here, before a worker or a native decoder sees them. The parsers of the
formats are in `formats/`.
"""

from __future__ import annotations

from inference import errors
from inference.errors import ImageError
from inference.images.formats import jpeg, png
from inference.images.formats.common import Buffer, Header, unsupported

MAX_BYTES = 10 * 1024 * 1024


def read_header(data: Buffer) -> Header:
    """Return the header of a complete image file.

    Raises ImageError: 4009 if it is larger than 10 MiB, 4012 if it is not an image, 4002 if its format or
    pixel layout is not supported, 4003 if it is a PNG or JPEG with a broken header, 4008 if a side is outside
    32..5000 px.
    """
    if len(data) > MAX_BYTES:
        raise ImageError(errors.IMAGE_TOO_LARGE, f"{len(data)} bytes, the limit is {MAX_BYTES}")
    start = bytes(data[0:512])
    if start.startswith(png.SIGNATURE):
        return png.read(data)
    if start.startswith(jpeg.START):
        return jpeg.read(data)
    if name := _known_format(start):
        raise unsupported(f"{name} is not served")
    raise ImageError(errors.NOT_AN_IMAGE, "no known image signature")


def _known_format(start: bytes) -> str | None:
    """Return the name of an image format that is recognised but not supported, or None."""
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "webp"
    if start[4:8] == b"ftyp" and start[8:12] in _HEIF_BRANDS:
        return "heif/avif"
    if start[:1] == b"P" and start[1:2] in b"1234567" and start[2:3].isspace():
        return "pnm"
    if b"<svg" in start:
        return "svg"
    return next((name for magic, name in _MAGICS if start.startswith(magic)), None)


_HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis"}
)
_MAGICS = (
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "bigtiff"),
    (b"MM\x00+", "bigtiff"),
    (b"\x00\x00\x01\x00", "ico"),
    (b"\x00\x00\x02\x00", "cur"),
    (b"\x00\x00\x00\x0cjP  ", "jpeg 2000"),
    (b"\xff\x4f\xff\x51", "jpeg 2000"),
    (b"\xff\x0a", "jpeg xl"),
    (b"\x00\x00\x00\x0cJXL ", "jpeg xl"),
    (b"8BPS", "psd"),
    (b"\x8aMNG", "mng"),
    (b"\x8bJNG", "jng"),
    (b"v/1\x01", "openexr"),
    (b"#?RADIANCE", "radiance"),
    (b"DDS ", "dds"),
    (b"\x59\xa6\x6a\x95", "sun raster"),
    (b"gimp xcf", "xcf"),
    (b"qoif", "qoi"),
    (b"icns", "icns"),
    (b"\x01\xda", "sgi"),
    (b"\x0a\x05\x01", "pcx"),
)
