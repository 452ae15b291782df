"""What an image's header says, read without decoding it (manual 4.2.2).

Standard library only: the web process refuses bad images here, before a worker or a native decoder sees
them. The JPEG walk follows libjpeg's own (garbage before a marker is skipped, a second frame header is an
error), so that what is checked here is what the decoder would act on.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from inference import errors
from inference.errors import ImageError

MAX_BYTES = 10 * 1024 * 1024
MIN_SIDE_PX = 32
MAX_SIDE_PX = 5000
MAX_PNG_CHUNKS = 100_000
MAX_JPEG_SEGMENTS = 10_000

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


class Buffer(Protocol):
    """Bytes, a memoryview or an mmap: anything whose slices are bytes-like."""

    def __len__(self) -> int: ...
    def __getitem__(self, key: slice, /) -> bytes | memoryview: ...


@dataclass(frozen=True, slots=True)
class Header:
    """A PNG or JPEG that may be decoded. Width and height as stored, before the orientation is applied."""

    format: Literal["png", "jpeg"]
    width_px: int
    height_px: int
    channels: int
    bit_depth: int
    orientation: int
    progressive: bool

    @property
    def upright_size_px(self) -> tuple[int, int]:
        """Width and height of the picture as a person sees it: EXIF orientations 5 to 8 swap the sides."""
        size = (self.width_px, self.height_px)
        return size[::-1] if self.orientation >= 5 else size


def read_header(data: Buffer) -> Header:
    """The header of a whole image file.

    Raises ImageError: 4009 over 10 MiB, 4012 no image, 4002 a format or pixel layout that is not served,
    4003 a PNG or JPEG with a broken header, 4008 a side outside 32..5000 px.
    """
    if len(data) > MAX_BYTES:
        raise ImageError(errors.TOO_MANY_BYTES, f"{len(data)} bytes, the limit is {MAX_BYTES}")
    start = bytes(data[0:512])
    if start.startswith(PNG_SIGNATURE):
        header = _read_png(data)
    elif start.startswith(b"\xff\xd8\xff"):
        header = _read_jpeg(data)
    elif name := _known_format(start):
        raise ImageError(errors.UNSUPPORTED_FORMAT, f"{name} is not served")
    else:
        raise ImageError(errors.NOT_AN_IMAGE, "no known image signature")
    return header


def _known_format(start: bytes) -> str | None:
    """The name of an image format that is recognised but not served."""
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


def _check_sides(width_px: int, height_px: int) -> None:
    if not (MIN_SIDE_PX <= width_px <= MAX_SIDE_PX and MIN_SIDE_PX <= height_px <= MAX_SIDE_PX):
        rule = f"outside {MIN_SIDE_PX}x{MIN_SIDE_PX} to {MAX_SIDE_PX}x{MAX_SIDE_PX}"
        raise ImageError(errors.BAD_DIMENSIONS, f"{width_px}x{height_px} px is {rule}")


def _broken(detail: str) -> ImageError:
    return ImageError(errors.UNDECODABLE, detail)


def png_chunks(data: Buffer) -> Iterator[tuple[bytes, int, int]]:
    """(type, start of its content, length) of each PNG chunk that lies wholly inside the file; up to IEND."""
    position = len(PNG_SIGNATURE)
    for _ in range(MAX_PNG_CHUNKS):
        head = bytes(data[position : position + 8])
        length = int.from_bytes(head[:4], "big")
        if len(head) < 8 or position + 12 + length > len(data):
            return
        yield head[4:], position + 8, length
        if head[4:] == b"IEND":
            return
        position += 12 + length
    raise _broken(f"more than {MAX_PNG_CHUNKS} PNG chunks")


def _read_png(data: Buffer) -> Header:
    chunks = png_chunks(data)
    kind, start, length = next(chunks, (b"", 0, 0))
    if kind != b"IHDR" or length != 13:
        raise _broken("a PNG does not start with IHDR")
    fields = bytes(data[start : start + 13])
    if zlib.crc32(b"IHDR" + fields) != int.from_bytes(bytes(data[start + 13 : start + 17]), "big"):
        raise _broken("wrong checksum of IHDR")
    width_px, height_px = int.from_bytes(fields[:4], "big"), int.from_bytes(fields[4:8], "big")
    depth, colour, compression, filtering, interlace = fields[8:]
    if depth not in PNG_DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise _broken("IHDR holds a combination that PNG does not know")
    if colour in (4, 6):
        raise ImageError(errors.UNSUPPORTED_FORMAT, "a PNG with an alpha channel")
    _check_sides(width_px, height_px)
    orientation, has_palette = 1, False
    for kind, start, length in chunks:
        if kind == b"tRNS":
            raise ImageError(errors.UNSUPPORTED_FORMAT, "a PNG with transparency (tRNS)")
        if kind == b"PLTE":
            has_palette = True
        elif kind == b"eXIf":
            orientation = exif_orientation(bytes(data[start : start + min(length, 65536)]))
        elif kind in (b"IDAT", b"IEND"):
            break
    if kind != b"IDAT" and not _has_open_idat(data, start, length):
        raise _broken("a PNG without image data")
    if colour == 3 and not has_palette:
        raise _broken("a palette PNG without its palette")
    return Header("png", width_px, height_px, PNG_CHANNELS[colour], depth, orientation, bool(interlace))


def _has_open_idat(data: Buffer, start: int, length: int) -> bool:
    """Whether the chunk after the last whole one is an IDAT that the end of the file cuts."""
    return bytes(data[start + length + 8 : start + length + 12]) == b"IDAT"


# JPEG markers that start a frame which libjpeg decodes: baseline, extended, progressive; Huffman and
# arithmetic.
_SERVED_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_OTHER_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xC8, 0xCB, 0xCD, 0xCE, 0xCF})
_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD8)})
_SEGMENTS = frozenset({0xC4, 0xCC, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)})


def _read_jpeg(data: Buffer) -> Header:
    frame: tuple[int, bytes] | None = None
    orientation: int | None = None
    for marker, segment in _jpeg_segments(data):
        if marker in _SERVED_FRAMES:
            if frame is not None:
                raise _broken("a JPEG with two frame headers")
            frame = (marker, segment)
        elif marker == 0xE1 and orientation is None and segment[:6] == b"Exif\x00\x00":
            orientation = exif_orientation(segment[6:])
    if frame is None:
        raise _broken("a JPEG scan before its frame header")
    marker, fields = frame
    if len(fields) < 6 or len(fields) != 6 + 3 * fields[5]:
        raise _broken("a JPEG frame header of the wrong length")
    depth, channels = fields[0], fields[5]
    height_px, width_px = int.from_bytes(fields[1:3], "big"), int.from_bytes(fields[3:5], "big")
    if channels not in (1, 3):
        raise ImageError(errors.UNSUPPORTED_FORMAT, f"a JPEG with {channels} channels")
    if depth != 8:
        raise ImageError(errors.UNSUPPORTED_FORMAT, f"a JPEG with {depth} bits a sample")
    _check_sides(width_px, height_px)
    return Header("jpeg", width_px, height_px, channels, depth, orientation or 1, marker in (0xC2, 0xCA))


def _jpeg_segments(data: Buffer) -> Iterator[tuple[int, bytes]]:
    """(marker, content) of each segment before the first scan; only the two kinds read are copied."""
    position = 2
    for _ in range(MAX_JPEG_SEGMENTS):
        position, marker = _next_marker(data, position)
        if marker in _BARE_MARKERS:
            continue
        if marker in _OTHER_FRAMES:
            raise ImageError(errors.UNSUPPORTED_FORMAT, f"a JPEG of coding process {marker:#x}")
        if marker == 0xDA:
            return
        if marker not in _SEGMENTS and marker not in _SERVED_FRAMES:
            raise _broken(f"JPEG marker {marker:#x} where a segment should be")
        length = int.from_bytes(bytes(data[position : position + 2]), "big")
        if length < 2 or position + length > len(data):
            raise _broken("a JPEG segment runs past the end of the file")
        wanted = marker == 0xE1 or marker in _SERVED_FRAMES
        yield marker, bytes(data[position + 2 : position + length]) if wanted else b""
        position += length
    raise _broken(f"more than {MAX_JPEG_SEGMENTS} JPEG segments")


def _next_marker(data: Buffer, position: int) -> tuple[int, int]:
    """(position after the next marker, its code); whatever lies before it is skipped, as libjpeg does."""
    filled = False  # whether 0xFF came last: a marker is any number of those, then its code
    while window := bytes(data[position : position + 65536]):
        if not filled:
            found = window.find(b"\xff")
            filled = found >= 0
            position += found + 1 if filled else len(window)
            continue
        code = window.lstrip(b"\xff")[:1]
        if not code:
            position += len(window)
            continue
        position += len(window) - len(window.lstrip(b"\xff")) + 1
        if code != b"\x00":
            return position, code[0]
        filled = False
    raise _broken("a JPEG ends before its picture starts")


def exif_orientation(tiff: bytes) -> int:
    """EXIF tag 0x0112 (1..8) out of a TIFF block; 1 where it is missing or makes no sense."""
    order: Literal["little", "big"]
    if tiff[:4] == b"II*\x00":
        order = "little"
    elif tiff[:4] == b"MM\x00*":
        order = "big"
    else:
        return 1
    directory = int.from_bytes(tiff[4:8], order)
    count = int.from_bytes(tiff[directory : directory + 2], order)
    for index in range(min(count, 512)):
        entry = tiff[directory + 2 + 12 * index :][:12]
        if len(entry) < 12:
            break
        if int.from_bytes(entry[:2], order) == 0x0112:
            value = int.from_bytes(entry[8:10], order)
            return value if 1 <= value <= 8 else 1
    return 1
