"""Decode an image file to upright pixels, at the lowest resolution that suffices.

The header is checked before any native code sees the file. PNG files are rebuilt from their critical chunks,
so that no ancillary chunk reaches the decoder. EXIF orientation is applied here, as read from the header, and
not by the decoder. Large JPEGs are decoded at 1/2, 1/4 or 1/8 scale if that is enough.
"""

from __future__ import annotations

import hashlib
import threading

import cv2
import numpy as np

from inference import errors
from inference.arrays import Pixels
from inference.errors import ImageError
from inference.images.formats import jpeg, png
from inference.images.formats.common import Header
from inference.images.headers import read_header

REDUCTIONS = (1, 2, 4, 8)
# Every scan of a progressive JPEG makes the decoder go over the whole picture, and a scan can be a few bytes
# long: without a limit a 10 MB file could keep a decoder busy for hours. Encoders write about ten scans.
MAX_SCANS = 100
MAX_SCAN_PX = 500_000_000

_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


class Picture:
    """One image file, decoded on demand. Not shared between threads."""

    def __init__(self, data: bytes) -> None:
        """Check the header of `data`.

        Raises ImageError as `read_header` does, and 4003 if the file cannot be decoded safely.
        """
        self.header: Header = read_header(data)
        self.width_px, self.height_px = self.header.upright_size_px
        self._data = (
            _critical_chunks(data) if self.header.format == "png" else _primary_jpeg(data, self.header)
        )
        self._levels: dict[int, Pixels] = {}

    def level(self, reduction: int = 1) -> Pixels:
        """Return the upright picture at 1/`reduction` (1, 2, 4 or 8), as (height, width, 3) BGR uint8.

        Raises ImageError 4003 if the file cannot be decoded. A PNG is always decoded at full size, and its
        reduced levels are averaged from that.
        """
        if reduction not in self._levels:
            if reduction > 1 and self.header.format == "png":
                self._levels[reduction] = _reduced(self.level(1), reduction)
            else:
                self._levels[reduction] = self._decode(reduction)
        return self._levels[reduction]

    def reduction_for(self, long_side_px: int) -> int:
        """Return the largest reduction that leaves the long side at `long_side_px` or more."""
        long_side = max(self.width_px, self.height_px)
        return max((r for r in REDUCTIONS if long_side / r >= long_side_px), default=1)

    def _decode(self, reduction: int) -> Pixels:
        pixels = _pixels(self._data, reduction)
        width, height = (-(-side // reduction) for side in (self.header.width_px, self.header.height_px))
        if pixels.shape != (height, width, 3):
            raise ImageError(errors.UNDECODABLE, f"the decoder could not decode this {self.header.format}")
        return upright(pixels, self.header.orientation)


def _reduced(pixels: Pixels, reduction: int) -> Pixels:
    """Average blocks of `reduction` x `reduction` pixels; an incomplete one at the edge repeats the last.

    The sides are rounded up, as in a reduced JPEG. OpenCV is ten times as fast for whole factors.
    """
    height, width = pixels.shape[:2]
    rows, columns = max(1, height // reduction), max(1, width // reduction)
    whole_blocks = pixels[: rows * reduction, : columns * reduction]
    blocks = cv2.resize(whole_blocks, (columns, rows), interpolation=cv2.INTER_AREA)
    below, right = -(-height // reduction) - rows, -(-width // reduction) - columns
    return np.asarray(cv2.copyMakeBorder(blocks, 0, below, 0, right, cv2.BORDER_REPLICATE), np.uint8)


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Apply an EXIF orientation (1 to 8) and return a contiguous array."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _critical_chunks(data: bytes) -> bytes:
    """Return the PNG with only its critical chunks; the header check has inspected the others."""
    parts = [png.SIGNATURE]
    kind = b""
    for kind, start, length in png.chunks(data):
        if kind in (b"IHDR", b"PLTE", b"IDAT", b"IEND"):
            parts.append(data[start - 8 : start + length + 4])
    if kind != b"IEND":
        raise ImageError(errors.UNDECODABLE, "a PNG that ends before IEND")
    return b"".join(parts)


def _primary_jpeg(data: bytes, header: Header) -> bytes:
    """Return the JPEG up to the end of its primary image, with an end marker.

    A file that lacks only the end marker is accepted; a truncated one is not. Raises ImageError 4003.
    """
    extent = jpeg.extent(data, header)
    decodes = extent.scans if extent.has_end_marker else 2 * extent.scans
    if extent.scans > MAX_SCANS or decodes * header.width_px * header.height_px > MAX_SCAN_PX:
        raise ImageError(errors.UNDECODABLE, f"a JPEG with {extent.scans} scans")
    if extent.has_end_marker:
        return data[: extent.end]
    first, second = jpeg.truncation_probes(data, extent.end)
    if not extent.is_covered or _digest(first) != _digest(second):
        raise ImageError(errors.UNDECODABLE, "a truncated JPEG")
    return first


def _digest(data: bytes) -> bytes:
    """Return a digest of the pixels, so that two large pictures need not be in memory at once."""
    return hashlib.sha1(_pixels(data, 1).data, usedforsecurity=False).digest()


def _pixels(data: bytes, reduction: int) -> Pixels:
    """Decode a file at 1/`reduction`. Raises ImageError 4003 if OpenCV cannot decode it."""
    try:
        pixels = cv2.imdecode(
            np.frombuffer(data, np.uint8), _FLAGS[reduction] | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error as error:
        raise ImageError(errors.UNDECODABLE, f"the decoder refused: {error.err}") from error
    if pixels is None:
        raise ImageError(errors.UNDECODABLE, "the decoder failed")
    return np.asarray(pixels, np.uint8)


_opencv_ready = threading.Lock()


def configure_opencv() -> None:
    """Limit OpenCV to one thread per call: the worker's threads provide the parallelism. Idempotent."""
    with _opencv_ready:
        cv2.setNumThreads(1)
