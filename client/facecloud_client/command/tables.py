"""Output formats: rows of text, and lines of JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len

from facecloud_client.errors import ApiError, FaceCloudError, InputError
from facecloud_client.i18n import say
from facecloud_client.outcomes import Outcome
from facecloud_client.request.body import Item, names
from facecloud_client.request.sources import Source
from facecloud_client.results import CompareResult, Face, FaceResult

ERROR_FIELDS = ("code", "message", "detail", "request_id")
REASONS = {
    "no_face": ("没有人脸", "no face"),
    "face_too_small": ("人脸过小", "face too small"),
    "blurred": ("模糊", "blurred"),
    "too_dark": ("过暗", "too dark"),
    "too_bright": ("过亮", "too bright"),
    "low_contrast": ("对比度低", "low contrast"),
    "extreme_pose": ("姿态过大", "extreme pose"),
    "rotated": ("人脸朝向不明", "orientation unclear"),
    "cut_off": ("被边缘截断", "cut off"),
    "several_faces": ("有多张大小相近的人脸", "several faces of similar size"),
}
GENDERS = {"M": ("男", "M"), "F": ("女", "F")}


@dataclass(frozen=True)
class Column:
    """A column between the names and the text at the end of a row; `width` is that of its longest cell."""

    zh: str
    en: str
    width: int

    @property
    def head(self) -> str:
        return say(self.zh, self.en)


PLACE = (Column("#", "#", 3), Column("左、上", "left, top", 10), Column("宽×高", "width×height", 9))
COLUMNS = {
    "face_detect": (*PLACE, Column("概率", "probability", 5)),
    "face_analyse": (*PLACE, Column("性别", "gender", 2), Column("年龄", "age", 3)),
    "face_compare": (Column("同一人", "same person", 3), Column("置信值", "confidence", 7)),
}
LONGEST_NAME = 48  # longer names shift the rest of their row to the right
GAP = "  "


def json_line(outcome: Outcome) -> str:
    """Return one line: `source` (or `pair`), with the `result` of the API or with `error`."""
    line: dict[str, Any] = {}
    if isinstance(outcome.item, Source):
        line["source"] = outcome.item.name
    else:
        line["pair"] = names(outcome.item)
    if outcome.result is not None:
        line["result"] = outcome.result.raw
    else:
        line["error"] = error_fields(outcome.error)
    return json.dumps(line, ensure_ascii=False)


def error_fields(error: FaceCloudError | None) -> dict[str, Any]:
    """Return the fields of an error for a line of JSON."""
    if not isinstance(error, ApiError):
        return {"message": str(error)}
    fields = {"code": error.code, "message": error.message, **error.details}
    return {name: fields[name] for name in ERROR_FIELDS if name in fields}


class Rows:
    """Formats results as one row for each face or pair, under one header, in columns of fixed width."""

    def __init__(self, api: str, items: Sequence[Item]) -> None:
        """Compute the column widths for `items`, all pictures or pairs that may get a row."""
        self._api, self._columns = api, COLUMNS[api]
        self._heads = [say("图片一", "one"), say("图片二", "other")]
        if api != "face_compare":
            self._heads = [say("图片", "picture")]
        longest = max((cell_len(name) for item in items for name in names(item)), default=0)
        self._name_width = max(min(longest, LONGEST_NAME), *map(cell_len, self._heads))

    def head(self) -> str:
        """Return the header row."""
        return self._line(self._heads, [column.head for column in self._columns], say("结果", "result"))

    def of(self, outcome: Outcome) -> list[str]:
        """Return a row for each face, or one row that explains why there is none."""
        shown, result = names(outcome.item), outcome.result
        if result is None:
            return [self._line(shown, [], error_text(outcome.error))]
        if isinstance(result, CompareResult):
            same = say("是", "yes") if result.same else say("否", "no")
            return [self._line(shown, [same, f"{result.confidence:.3f}"], _quality(result))]
        if not result.faces:
            return [self._line(shown, [], say("没有人脸", "no face"))]
        numbered = enumerate(result.faces, start=1)
        return [self._line(shown, [str(at), *self._cells(face)], _quality(result)) for at, face in numbered]

    def _cells(self, face: Face) -> list[str]:
        """Return the position and size of a face, and its attributes."""
        where = face.location
        place = [f"{where.left}, {where.top}", f"{where.width}×{where.height}"]
        if self._api == "face_detect":
            return [*place, "" if face.probability is None else f"{face.probability:.3f}"]
        gender = say(*GENDERS[face.gender]) if face.gender in GENDERS else ""
        return [*place, gender, "" if face.age is None else str(face.age)]

    def _line(self, shown: Sequence[str], cells: Sequence[str], text: str) -> str:
        left = [name + " " * (self._name_width - cell_len(name)) for name in shown]
        widths = [max(column.width, cell_len(column.head)) for column in self._columns]
        right = [" " * (width - cell_len(cell)) + cell for width, cell in zip(widths, cells, strict=False)]
        return GAP.join([*left, *right, text])


def _quality(result: FaceResult | CompareResult) -> str:
    if result.pic_quality == 0:
        return say("合格", "good")
    return poor_quality(result.reasons)


def poor_quality(reasons: Sequence[str]) -> str:
    """Return the reasons for poor quality in words."""
    why = say("、", ", ").join(say(*REASONS.get(reason, (reason, reason))) for reason in reasons)
    return say("质量不合格", "poor quality") + (say(f"：{why}", f": {why}") if why else "")


def error_text(error: FaceCloudError | None) -> str:
    """Return an error in one line, with the service's detail but without its advice."""
    if isinstance(error, ApiError):
        return ": ".join(filter(None, [error.headline, error.detail]))
    return error.reason if isinstance(error, InputError) else str(error)
