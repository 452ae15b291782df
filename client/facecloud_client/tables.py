"""Results as a terminal table, and as lines of JSON."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.markup import escape
from rich.table import Table

from facecloud_client.body import Item
from facecloud_client.errors import ApiError
from facecloud_client.outcomes import Outcome
from facecloud_client.results import CompareResult, Face, FaceResult
from facecloud_client.sources import Source
from facecloud_client.words import say

ERROR_FIELDS = ("code", "message", "detail", "request_id")
GENDERS = {"M": ("男", "M"), "F": ("女", "F")}


@dataclass(frozen=True)
class Column:
    """A column of the table of faces; `cell` gives "" where the API did not say."""

    zh: str
    en: str
    cell: Callable[[Face], str]


FACE_COLUMNS = (
    Column("左、上", "left, top", lambda face: f"{face.location.left}, {face.location.top}"),
    Column("宽×高", "width×height", lambda face: f"{face.location.width}×{face.location.height}"),
    Column("概率", "probability", lambda face: "" if face.probability is None else f"{face.probability:.3f}"),
    Column("性别", "gender", lambda face: say(*GENDERS[face.gender]) if face.gender in GENDERS else ""),
    Column("年龄", "age", lambda face: "" if face.age is None else str(face.age)),
)


def names(item: Item) -> list[str]:
    """The names of one picture, or of a pair."""
    return [item.name] if isinstance(item, Source) else [item[0].name, item[1].name]


def json_line(outcome: Outcome) -> str:
    """One line: `source` (or `pair`) with the API's own `result`, or with `error`."""
    line: dict[str, Any] = {}
    if isinstance(outcome.item, Source):
        line["source"] = outcome.item.name
    else:
        line["pair"] = names(outcome.item)
    if outcome.result is not None:
        line["result"] = outcome.result.raw
    elif isinstance(outcome.error, ApiError):
        told = {"code": outcome.error.code, "message": outcome.error.message, **outcome.error.details}
        line["error"] = {name: told[name] for name in ERROR_FIELDS if name in told}
    else:
        line["error"] = {"message": str(outcome.error)}
    return json.dumps(line, ensure_ascii=False)


def face_table(outcomes: Sequence[Outcome]) -> Table:
    """One row a face; a picture without one, or refused, has one row that says so. No column is empty."""
    faces = [
        face
        for outcome in outcomes
        if isinstance(outcome.result, FaceResult)
        for face in outcome.result.faces
    ]
    columns = [column for column in FACE_COLUMNS if any(column.cell(face) for face in faces)]
    table = Table(header_style="bold")
    table.add_column(say("图片", "picture"), overflow="fold")
    table.add_column("#", justify="right")
    for column in columns:
        table.add_column(say(column.zh, column.en), justify="right")
    table.add_column(say("结果", "result"))
    for outcome in outcomes:
        (name,) = map(escape, names(outcome.item))
        empty = [""] * len(columns)
        if not isinstance(outcome.result, FaceResult):
            table.add_row(name, "", *empty, f"[red]{_one_line(outcome)}[/red]")
        elif not outcome.result.faces:
            table.add_row(name, "0", *empty, say("没有人脸", "no face"))
        else:
            words = _quality(outcome.result.pic_quality)
            for number, face in enumerate(outcome.result.faces, start=1):
                table.add_row(name, str(number), *(column.cell(face) for column in columns), words)
                name, words = "", ""
    return table


def compare_table(outcomes: Iterable[Outcome]) -> Table:
    """One row a pair."""
    table = Table(header_style="bold")
    table.add_column(say("图片一", "one"), overflow="fold")
    table.add_column(say("图片二", "other"), overflow="fold")
    table.add_column(say("同一人", "same person"))
    table.add_column(say("置信值", "confidence"), justify="right")
    table.add_column(say("质量", "quality"))
    for outcome in outcomes:
        if not isinstance(outcome.result, CompareResult):
            table.add_row(*map(escape, names(outcome.item)), f"[red]{_one_line(outcome)}[/red]")
            continue
        result = outcome.result
        table.add_row(
            *map(escape, names(outcome.item)),
            f"[green]{say('是', 'yes')}[/green]" if result.same else say("否", "no"),
            f"{result.confidence:.3f}",
            _quality(result.pic_quality),
        )
    return table


def _quality(pic_quality: int) -> str:
    return say("合格", "good") if pic_quality == 0 else say("质量不合格", "poor quality")


def _one_line(outcome: Outcome) -> str:
    """What was wrong, with the detail that the service gave; its advice stands once, below the table."""
    error = outcome.error
    if isinstance(error, ApiError):
        return escape(": ".join(filter(None, [error.headline, str(error.details.get("detail", ""))])))
    return escape(str(error))
