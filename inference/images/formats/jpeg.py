"""Read JPEG segments from the start marker to the end marker of the primary image (ITU-T T.81, B.1).

Anything after the end marker is not part of the image: the video of a motion photo, the second picture of an
MPO file, a gain map. Parsing follows libjpeg: stray bytes before a marker are skipped, a second frame header
is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from inference.errors import ImageError
from inference.images.formats import exif
from inference.images.formats.common import Buffer, Header, broken, check_sides, unsupported

START = b"\xff\xd8\xff"
END_MARKER = b"\xff\xd9"
MAX_SEGMENTS = 1_000
MAX_STRAY_BYTES = 65_536
MAX_EXIF_SEGMENTS = 16  # APP1 segments that are searched; XMP uses APP1 as well

SOS, EOI, APP1 = 0xDA, 0xD9, 0xE1
# Frames that libjpeg decodes: baseline, extended, progressive; Huffman and arithmetic coding.
_SUPPORTED_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_PROGRESSIVE_FRAMES = frozenset({0xC2, 0xCA})
_OTHER_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xC8, 0xCB, 0xCD, 0xCE, 0xCF})
_SEGMENTS = frozenset({0xC4, 0xCC, SOS, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)})
# A marker with content: not a fill byte, a stuffed FF 00, TEM or a restart marker. If several FF bytes come
# before the code, the match starts at the last one. The search is linear and runs in C.
_MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd7]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
# Filler that no Huffman table decodes to the zeros that libjpeg substitutes for missing data.
_FILLER = bytes((k * 89 + k // 7 * 31 + 45) % 251 for k in range(256))


class Segment(NamedTuple):
    """One marker at `position`, with the start and end of its content; EOI has no content.

    The last segment of a damaged file has a `fault`: the reason why parsing ends there.
    """

    marker: int
    position: int
    start: int = 0
    end: int = 0
    fault: ImageError | None = None


def read(data: Buffer) -> Header:
    """Return the header of a file that starts with START. Raises ImageError 4002, 4003 or 4008."""
    frame: Segment | None = None
    orientation: int | None = None
    exif_segments = 0
    for segment in segments(data):
        if segment.fault:
            raise segment.fault
        if segment.marker in _SUPPORTED_FRAMES:
            if frame is not None:
                raise broken("a JPEG with two frame headers")
            frame = segment
        elif segment.marker == APP1 and orientation is None and exif_segments < MAX_EXIF_SEGMENTS:
            orientation = _exif_orientation(data, segment)
            exif_segments += 1
        elif segment.marker == SOS:
            break
        elif segment.marker == EOI:
            raise broken("a JPEG that ends before its first scan")
    if frame is None:
        raise broken("a JPEG scan before its frame header")
    fields = bytes(data[frame.start : frame.end])
    if len(fields) < 6 or len(fields) != 6 + 3 * fields[5]:
        raise broken("a JPEG frame header of the wrong length")
    depth, channels = fields[0], fields[5]
    height_px, width_px = int.from_bytes(fields[1:3], "big"), int.from_bytes(fields[3:5], "big")
    if channels not in (1, 3):
        raise unsupported(f"a JPEG with {channels} channels")
    if depth != 8:
        raise unsupported(f"a JPEG with {depth} bits per sample")
    check_sides(width_px, height_px)
    progressive = frame.marker in _PROGRESSIVE_FRAMES
    return Header("jpeg", width_px, height_px, channels, depth, orientation or 1, progressive)


def _exif_orientation(data: Buffer, segment: Segment) -> int | None:
    content = bytes(data[segment.start : segment.end])
    return exif.orientation(content) if content[:5] == b"Exif\x00" else None


def segments(data: Buffer) -> Iterator[Segment]:
    """Yield each segment of the primary image up to its end marker, skipping entropy-coded data.

    If the file ends or is damaged before that, the last segment has a `fault`: ImageError 4003, or 4002 if
    the coding process is not supported.
    """
    position, stray, size = 2, MAX_STRAY_BYTES, len(data)
    for _ in range(MAX_SEGMENTS):
        found = _MARKER.search(data, position, min(size, position + stray))
        if found is None:
            fault = "a JPEG that ends, or holds no marker, before its end marker"
            yield Segment(0, min(size, position + stray), fault=broken(fault))
            return
        marker, start = data[found.start() + 1], found.end()
        if marker == EOI:
            yield Segment(marker, found.start(), start, start)
            return
        length = int.from_bytes(data[start : start + 2], "big")
        fault_here = _fault(marker, is_whole=length >= 2 and start + length <= size)
        yield Segment(marker, found.start(), start + 2, start + length, fault_here)
        if fault_here:
            return
        position = start + length
        stray = size if marker == SOS else MAX_STRAY_BYTES
    yield Segment(0, position, fault=broken(f"more than {MAX_SEGMENTS} JPEG segments"))


def _fault(marker: int, *, is_whole: bool) -> ImageError | None:
    if marker in _OTHER_FRAMES:
        return unsupported(f"a JPEG of coding process {marker:#x}")
    if marker not in _SEGMENTS and marker not in _SUPPORTED_FRAMES:
        return broken(f"JPEG marker {marker:#x} instead of a segment")
    return None if is_whole else broken("a JPEG segment runs past the end of the file")


@dataclass(frozen=True, slots=True)
class Extent:
    """The extent of the primary image: `end` is the offset after its last byte, including the end marker.

    `has_end_marker` is false if the file ends or is damaged before one. `is_covered` is true if the scans
    together carry every coefficient of every component at full precision, as in a complete picture.
    """

    end: int
    scans: int
    has_end_marker: bool
    is_covered: bool


def extent(data: Buffer, header: Header) -> Extent:
    """Parse the scans of a file whose header `read` has returned."""
    scans = 0
    lowest_bits: dict[int, list[int]] = {}  # component id: lowest bit received of each of its 64 coefficients
    for segment in segments(data):
        if segment.fault or segment.marker == EOI:
            is_covered = bool(lowest_bits) and not any(map(any, lowest_bits.values()))
            return Extent(segment.end or segment.position, scans, segment.fault is None, is_covered)
        if segment.marker in _SUPPORTED_FRAMES:
            fields = data[segment.start : segment.end]
            lowest_bits = {fields[6 + 3 * k]: [16] * 64 for k in range(header.channels)}
        elif segment.marker == SOS:
            scans += 1
            _record_scan(data[segment.start : segment.end], lowest_bits, header)
    raise AssertionError("segments() always ends with a fault or an end marker")


def _record_scan(fields: Buffer, lowest_bits: dict[int, list[int]], header: Header) -> None:
    """Record in `lowest_bits` which coefficients a scan carries.

    `fields` is the content of SOS: component count, two bytes for each component, first and last coefficient,
    bits.
    """
    count = fields[0] if len(fields) else 0
    if len(fields) != 4 + 2 * count:
        return
    first, last, bits = 0, 63, 0
    if header.progressive:
        first, last, bits = fields[-3], min(fields[-2], 63), fields[-1] & 15
    for k in range(count):
        if (component := lowest_bits.get(fields[1 + 2 * k])) and first <= last:
            component[first : last + 1] = [bits] * (last + 1 - first)


def truncation_probes(data: Buffer, end: int) -> tuple[bytes, bytes]:
    """Return two files that decode to the same pixels only if the data before `end` is a complete image.

    Both end with an end marker, and the second has filler data before it. A decoder reads the filler only if
    blocks are missing. It is repeated after the next restart marker, in case the data stops just before one.
    """
    body = bytes(data[:end]).rstrip(b"\xff")
    restarts = _RESTART.findall(body[-MAX_STRAY_BYTES * 16 :])
    following = bytes([0xFF, 0xD0 + (restarts[-1][1] - 0xD0 + 1) % 8 if restarts else 0xD0])
    return body + END_MARKER, body + _FILLER + following + _FILLER + END_MARKER
