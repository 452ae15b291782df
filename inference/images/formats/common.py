"""The header of an image file and the limits of its width and height, for both formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from inference import errors
from inference.errors import ImageError

MIN_SIDE_PX = 32
MAX_SIDE_PX = 5000

Buffer = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a PNG or JPEG that may be decoded; width and height as stored, before orientation."""

    format: Literal["png", "jpeg"]
    width_px: int
    height_px: int
    channels: int
    bit_depth: int
    orientation: int
    progressive: bool

    @property
    def upright_size_px(self) -> tuple[int, int]:
        """Width and height after EXIF orientation is applied: 5 to 8 swap the sides."""
        size = (self.width_px, self.height_px)
        return size[::-1] if self.orientation >= 5 else size


def check_sides(width_px: int, height_px: int) -> None:
    """Raise ImageError 4008 if a side is outside MIN_SIDE_PX..MAX_SIDE_PX."""
    if not (MIN_SIDE_PX <= width_px <= MAX_SIDE_PX and MIN_SIDE_PX <= height_px <= MAX_SIDE_PX):
        rule = f"outside {MIN_SIDE_PX}x{MIN_SIDE_PX} to {MAX_SIDE_PX}x{MAX_SIDE_PX}"
        raise ImageError(errors.DIMENSIONS, f"{width_px}x{height_px} px is {rule}")


def broken(detail: str) -> ImageError:
    """Return an ImageError 4003: the file starts like a PNG or JPEG, but cannot be decoded."""
    return ImageError(errors.UNDECODABLE, detail)


def unsupported(detail: str) -> ImageError:
    """Return an ImageError 4002: the format or the pixel layout is recognised, but not supported."""
    return ImageError(errors.FORMAT, detail)
