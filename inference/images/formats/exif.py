"""Read the EXIF orientation from a TIFF block in a PNG or JPEG.

Pillow is not used for this, because its reader copies the value of every entry: 5,000 entries that point at
the same 64 KiB take 320 MB. Only one number is needed here.
"""

from __future__ import annotations

import re
import zlib
from typing import Literal

MAX_EXIF_BYTES = 65_536
MAX_ENTRIES = 512
ORIENTATION = 0x0112
# TIFF field types of whole numbers, and their bytes: BYTE, SHORT, LONG and the signed three.
_INTEGERS = {1: 1, 3: 2, 4: 4, 6: 1, 8: 2, 9: 4}
_PROFILE_KEYWORDS = frozenset({b"Raw profile type exif", b"Raw profile type APP1"})
_PROFILE = re.compile(rb"\s*(?:exif|APP1|generic profile)\s+\d+\s+([0-9a-fA-F\s]*)")


def orientation(block: bytes) -> int | None:
    """Return EXIF tag 0x0112 (1..8), or None if it is missing or invalid.

    `block` is a TIFF header and its first directory, optionally preceded by "Exif" and two zero bytes.
    """
    tiff = block[6:] if block[:5] == b"Exif\x00" else block
    order: Literal["little", "big"]
    if tiff[:4] == b"II*\x00":
        order = "little"
    elif tiff[:4] == b"MM\x00*":
        order = "big"
    else:
        return None
    directory = int.from_bytes(tiff[4:8], order)
    count = int.from_bytes(tiff[directory : directory + 2], order)
    for index in range(min(count, MAX_ENTRIES)):
        entry = tiff[directory + 2 + 12 * index :][:12]
        if len(entry) < 12:
            break
        if int.from_bytes(entry[:2], order) == ORIENTATION:
            size = _INTEGERS.get(int.from_bytes(entry[2:4], order), 0)
            value = int.from_bytes(entry[8 : 8 + size], order)
            return value if 1 <= value <= 8 else None
    return None


def is_raw_profile(content: bytes) -> bool:
    """Return whether this PNG text chunk is named as a raw profile with an EXIF block."""
    return content.partition(b"\x00")[0] in _PROFILE_KEYWORDS


def raw_profile(kind: bytes, content: bytes) -> bytes | None:
    """Return the EXIF block that a PNG text chunk (tEXt, zTXt, iTXt) holds as hexadecimal text, or None.

    ImageMagick and exiftool write such "raw profiles". At most MAX_EXIF_BYTES are read.
    """
    if not is_raw_profile(content):
        return None
    rest = content.partition(b"\x00")[2]
    is_compressed = kind == b"zTXt"
    if kind == b"zTXt":
        rest = rest[1:]
    elif kind == b"iTXt":  # flag, method, language, translated keyword, text
        is_compressed = rest[:1] == b"\x01"
        rest = rest[2:].partition(b"\x00")[2].partition(b"\x00")[2]
    limit = 3 * MAX_EXIF_BYTES  # two digits per byte, and line breaks
    if is_compressed:
        try:
            text = zlib.decompressobj().decompress(rest, limit)
        except zlib.error:
            return None
    else:
        text = rest[:limit]
    found = _PROFILE.match(text)
    if found is None:
        return None
    digits = b"".join(found[1].split())[: 2 * MAX_EXIF_BYTES]
    return bytes.fromhex(digits[: len(digits) // 2 * 2].decode("ascii"))
