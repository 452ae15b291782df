"""Read the header and the ancillary data of a PNG from its chunks."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from inference.images.formats import exif
from inference.images.formats.common import Buffer, Header, broken, check_sides, unsupported

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# A file may have FREE_CHUNKS chunks, plus one for each BYTES_PER_CHUNK of its size: encoders write IDAT
# chunks of 8 KiB or more, and the time to parse a file grows with the number of chunks.
FREE_CHUNKS = 500
BYTES_PER_CHUNK = 1024
MAX_PROFILES = 4  # that are read until one is valid: 250 bytes can take milliseconds to decompress

_HEAD = struct.Struct(">I4s")
_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
# The longest text chunk that can hold a whole raw profile: two digits per byte, and line breaks.
_MAX_TEXT_BYTES = 4 * exif.MAX_EXIF_BYTES


def chunks(data: Buffer) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, offset of its content, length) of each complete chunk, up to IEND.

    Raises ImageError 4003 if there are too many.
    """
    position, size = len(SIGNATURE), len(data)
    for _ in range(FREE_CHUNKS + size // BYTES_PER_CHUNK):
        if position + 8 > size:
            return
        length, kind = _HEAD.unpack_from(data, position)
        if position + 12 + length > size:
            return
        yield kind, position + 8, length
        if kind == b"IEND":
            return
        position += 12 + length
    raise broken("too many PNG chunks for the size of the file")


def read(data: Buffer) -> Header:
    """Return the header of a file that starts with SIGNATURE. Raises ImageError 4002, 4003 or 4008."""
    walk = chunks(data)
    kind, start, length = next(walk, (b"", 0, 0))
    if kind != b"IHDR" or length != 13:
        raise broken("a PNG does not start with IHDR")
    fields = bytes(data[start : start + 13])
    if zlib.crc32(b"IHDR" + fields) != int.from_bytes(data[start + 13 : start + 17], "big"):
        raise broken("wrong checksum of IHDR")
    width_px, height_px = int.from_bytes(fields[:4], "big"), int.from_bytes(fields[4:8], "big")
    depth, colour, compression, filtering, interlace = fields[8:]
    if depth not in DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise broken("IHDR holds an invalid combination")
    if colour in (4, 6):
        raise unsupported("a PNG with an alpha channel")
    check_sides(width_px, height_px)
    has_palette = has_pixels = False
    block: bytes | None = None  # eXIf, which may come before or after the pixels
    profile: bytes | None = None
    profiles = 0
    for kind, start, length in walk:
        if kind == b"IDAT":
            has_pixels = True
        elif kind == b"PLTE":
            has_palette = True
        elif kind == b"tRNS":
            raise unsupported("a PNG with transparency (tRNS)")
        elif kind == b"eXIf" and block is None:
            block = bytes(data[start : start + min(length, exif.MAX_EXIF_BYTES)])
        elif kind in _TEXTS and profile is None and profiles < MAX_PROFILES:
            text = bytes(data[start : start + min(length, _MAX_TEXT_BYTES)])
            if exif.is_raw_profile(text):
                profiles += 1
                profile = exif.raw_profile(kind, text)
    if not has_pixels and not _has_open_idat(data, start, length):
        raise broken("a PNG without image data")
    if colour == 3 and not has_palette:
        raise broken("a palette PNG without its palette")
    orientation = exif.orientation(block or b"") or exif.orientation(profile or b"") or 1
    return Header("png", width_px, height_px, CHANNELS[colour], depth, orientation, bool(interlace))


def _has_open_idat(data: Buffer, start: int, length: int) -> bool:
    """Return whether the file is truncated inside an IDAT chunk, right after the last complete chunk."""
    return bytes(data[start + length + 8 : start + length + 12]) == b"IDAT"
