"""The results of the engine, and their plain-dict form, in which a worker sends them.

Coordinates are whole pixels of the upright picture (EXIF orientation applied), with the origin at the top
left. Results have `to_dict()`, which returns only JSON types; those that the web process uses in computations
also have `from_dict()`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

Gender = Literal["M", "F"]
Plain = dict[str, Any]
# The reasons why a picture fails a quality check (quality.py); they are part of the API.
REASONS = (
    "no_face",
    "face_too_small",
    "blurred",
    "too_dark",
    "too_bright",
    "low_contrast",
    "extreme_pose",
    "rotated",
    "cut_off",
    "several_faces",
)


@dataclass(frozen=True, slots=True)
class Point:
    """One pixel of the upright picture."""

    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of at least 1x1 inside the picture; it ends before `left + width` and `top + height`."""

    left: int
    top: int
    width: int
    height: int

    @property
    def area_px(self) -> int:
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Five key points, left and right as the viewer sees them (manual 4.2.2 model 1).

    Each lies inside the face's box.
    """

    left_eye: Point
    right_eye: Point
    nose: Point
    mouth_left: Point
    mouth_right: Point


@dataclass(frozen=True, slots=True)
class Attributes:
    """Estimated age in whole years and gender of one face (manual 4.2.2 model 2)."""

    age: int
    gender: Gender


@dataclass(frozen=True, slots=True)
class Face:
    """A detected face. `probability` is calibrated: of the boxes with .8, about eight in ten are faces."""

    box: Box
    landmarks: Landmarks
    probability: float
    attributes: Attributes | None = None


@dataclass(frozen=True, slots=True)
class Quality:
    """Quality of a picture for one purpose: a `score` of 0..1 and the measures that failed.

    `passed` corresponds to pic_quality 0 of the manual; `reasons` is a subset of REASONS, in the same order.
    """

    score: float
    reasons: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.reasons

    @property
    def pic_quality(self) -> int:
        """The manual's integer: 0 if the picture is good enough for the function, 1 if not."""
        return 0 if self.passed else 1

    @classmethod
    def from_dict(cls, plain: Plain) -> Self:
        return cls(score=plain["score"], reasons=tuple(plain["reasons"]))


@dataclass(frozen=True, slots=True)
class FacesResult:
    """The result of face_detect and face_analyse for one picture: faces by area, largest first."""

    faces: tuple[Face, ...]
    quality: Quality

    def to_dict(self) -> Plain:
        return asdict(self)


class DetectResult(FacesResult):
    """Faces without attributes."""

    __slots__ = ()


class AnalyseResult(FacesResult):
    """Faces, each with `attributes`."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Template:
    """The input of face_compare: the embeddings of a picture's largest face, or none if it has no face.

    Biometric data: never logged (hence no repr of the vectors), and kept in memory only during one call; only
    the gallery stores templates, rotated with a key. `primary` and `secondary` are unit vectors of 128 floats
    each, empty if there is no face; `constant` is the face's similarity to faces in general (cohort.py).
    """

    primary: tuple[float, ...]
    secondary: tuple[float, ...]
    constant: float
    quality: Quality

    def __repr__(self) -> str:
        return f"Template(has_face={self.has_face}, quality={self.quality!r})"

    @property
    def has_face(self) -> bool:
        return bool(self.primary)

    def to_dict(self) -> Plain:
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Plain) -> Self:
        return cls(
            primary=tuple(plain["primary"]),
            secondary=tuple(plain["secondary"]),
            constant=plain["constant"],
            quality=Quality.from_dict(plain["quality"]),
        )


@dataclass(frozen=True, slots=True)
class IdentifyResult:
    """The input of the face gallery from one picture: its largest faces with their templates, largest first.

    Biometric, like Template. `version` is that of the templates (scoring.template_version): the web process
    rejects results with a version other than its own.
    """

    boxes: tuple[Box, ...]
    templates: tuple[Template, ...]
    quality: Quality
    version: str

    def __repr__(self) -> str:
        return f"IdentifyResult(faces={len(self.boxes)}, quality={self.quality!r})"

    def to_dict(self) -> Plain:
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Plain) -> Self:
        return cls(
            boxes=tuple(Box(**box) for box in plain["boxes"]),
            templates=tuple(Template.from_dict(template) for template in plain["templates"]),
            quality=Quality.from_dict(plain["quality"]),
            version=plain["version"],
        )
