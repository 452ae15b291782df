"""The results of the API, with the types of the manual's tables (4.2.2)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from facecloud_client.errors import TransportError
from facecloud_client.i18n import say


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the upright picture."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Face:
    """One face. detect sets `probability` and `landmark`, analyse sets `age` and `gender`."""

    location: Box
    probability: float | None = None
    landmark: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    age: int | None = None
    gender: str | None = None  # "M" or "F"


@dataclass(frozen=True)
class FaceResult:
    """The faces of one picture, largest first.

    `pic_quality` is 0 if the quality is sufficient, otherwise 1 with `reasons` such as "blurred". `raw` is
    the entry as received.
    """

    faces: tuple[Face, ...]
    pic_quality: int
    raw: Mapping[str, Any]
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class CompareResult:
    """The result for one pair. `confidence` is 0-100 with three decimals."""

    same: bool
    confidence: float
    pic_quality: int
    raw: Mapping[str, Any]
    reasons: tuple[str, ...] = ()


def face_result(entry: Mapping[str, Any]) -> FaceResult:
    """Parse one entry of the `result` of face_detect or face_analyse. Raises TransportError."""
    try:
        faces = tuple(_face(face) for face in entry["face_list"])
        return FaceResult(faces, int(entry["pic_quality"]), entry, reasons(entry))
    except (KeyError, TypeError, ValueError) as error:
        raise unexpected(entry) from error


def compare_result(entry: Mapping[str, Any]) -> CompareResult:
    """Parse one entry of the `result` of face_compare. Raises TransportError."""
    try:
        same = str(entry["face_compare"]).lower() == "true"
        confidence, pic_quality = float(entry["confidence"]), int(entry["pic_quality"])
        return CompareResult(same, confidence, pic_quality, entry, reasons(entry))
    except (KeyError, TypeError, ValueError) as error:
        raise unexpected(entry) from error


def reasons(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the reasons for poor quality; empty if the service does not support the option."""
    return tuple(map(str, entry["quality"]["reasons"])) if "quality" in entry else ()


def unexpected(entry: object) -> TransportError:
    """Return the error for an entry of `result` that does not have the documented form."""
    text = str(entry)[:80]
    return TransportError(say(f"应答的 result 不符合约定：{text}", f"Unexpected entry of result: {text}"))


def _face(face: Mapping[str, Any]) -> Face:
    box = face["location"]
    points = face.get("landmark") or {}
    return Face(
        location=Box(int(box["left"]), int(box["top"]), int(box["width"]), int(box["height"])),
        probability=face.get("face_probability"),
        landmark={name: (point["x"], point["y"]) for name, point in points.items()},
        age=face.get("age"),
        gender=face.get("gender"),
    )
