"""The debugger's overlay of a picture: for each face a thin box, a number, and a description on hover."""

from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from billing.models import Api
from console.debugging.debugger import Picture


@dataclass(frozen=True)
class Mark:
    """One face in the picture's pixels: its box, its landmarks, and the lines of its description.

    The first line is the result, such as gender and age.
    """

    left: int
    top: int
    width: int
    height: int
    points: list[tuple[int, int]]
    lines: list[str]

    @property
    def text(self) -> str:
        return self.lines[0]


@dataclass
class Drawing:
    """A picture with its marks. `unit` is the font size in the picture's pixels."""

    picture: Picture
    marks: list[Mark] = field(default_factory=list)
    quality: dict[str, Any] | None = None

    @property
    def size_px(self) -> tuple[int, int] | None:
        return self.picture.size_px

    @property
    def unit(self) -> float:
        return max(self.size_px or (800, 800)) * 0.03

    @property
    def radius(self) -> float:
        return self.unit * 0.16

    def plates(self) -> list["Plate"]:
        """Return the label of each mark, numbered from 1."""
        return [Plate(mark, number, self.unit, self.size_px) for number, mark in enumerate(self.marks, 1)]


@dataclass(frozen=True)
class Plate:
    """The label of a mark: its number in the box, and its description near it, inside the picture.

    `letter` is the font size of the description. All lengths are in the picture's pixels.
    """

    mark: Mark
    number: int
    letter: float
    picture_px: tuple[int, int] | None

    @property
    def number_letter(self) -> float:
        """Return the font size of the number, which must not hide the face."""
        return min(self.letter, 0.22 * self.mark.height)

    @property
    def number_width(self) -> float:
        return self.number_letter * (0.7 + 0.6 * len(str(self.number)))

    @property
    def number_height(self) -> float:
        return self.number_letter * 1.3

    @property
    def width(self) -> float:
        return self.letter * (1 + max(map(text_width, self.mark.lines)))

    @property
    def height(self) -> float:
        return self.letter * (0.6 + 1.4 * len(self.mark.lines))

    @property
    def left(self) -> float:
        most = self.picture_px[0] - self.width if self.picture_px else self.mark.left
        return max(0, min(self.mark.left, most))

    @property
    def top(self) -> float:
        """Return the top: below the box, or above it if there is no space, or inside it."""
        below = self.mark.top + self.mark.height
        if self.picture_px is None or below + self.height <= self.picture_px[1]:
            return below
        return (
            self.mark.top - self.height if self.mark.top >= self.height else self.picture_px[1] - self.height
        )

    def lines(self) -> list[tuple[float, str]]:
        """Return each line of the description with its baseline."""
        return [(self.top + self.letter * (1.2 + 1.4 * at), line) for at, line in enumerate(self.mark.lines)]


def text_width(text: str) -> float:
    """Return the width in units of the font size: 1 for a Chinese character, over half for others."""
    return sum(1.0 if ord(letter) > 0x2E7F else 0.6 for letter in text)


def drawings(api: str, pictures: list[Picture], reply: Any) -> list[Drawing]:
    """Return a drawing for each picture; with marks if the call succeeded and is not a comparison."""
    drawn = [Drawing(one) for one in pictures]
    results = reply.get("result") if isinstance(reply, dict) else None
    if api == Api.FACE_COMPARE or not results:
        return drawn
    for drawing, result in zip(drawn, results, strict=False):
        drawing.quality = result["quality"]
        drawing.marks = [mark_of(face) for face in result["face_list"]]
    return drawn


def mark_of(face: dict[str, Any]) -> Mark:
    """Return the mark of a face of a reply, in the reader's language."""
    box = face["location"]
    points = [(point["x"], point["y"]) for point in face.get("landmark", {}).values()]
    place = _("左 %(left)s · 上 %(top)s · %(width)s×%(height)s 像素") % box
    lines = [*described(face), place]
    return Mark(box["left"], box["top"], box["width"], box["height"], points, lines)


def described(face: dict[str, Any]) -> list[str]:
    """Return the result for a face: the persons found, gender and age, or its probability."""
    if "person_list" in face:
        found = [f"{one['person_id']} {one['confidence']:.1f}" for one in face["person_list"][:3]]
        return found or [_("无匹配")]
    if "age" in face:
        gender = {"M": _("男"), "F": _("女")}[face["gender"]]
        return [_("%(gender)s · %(age)s 岁") % {"gender": gender, "age": face["age"]}]
    return [_("人脸概率 %(share)s") % {"share": f"{face['face_probability'] * 100:.1f}%"}]
