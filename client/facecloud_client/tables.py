"""Results as a terminal table, and as lines of JSON."""

import json
from collections.abc import Iterable
from typing import Any

from rich.markup import escape
from rich.table import Table

from facecloud_client.body import Item
from facecloud_client.errors import ApiError
from facecloud_client.outcomes import Outcome
from facecloud_client.results import CompareResult, Face, FaceResult
from facecloud_client.sources import Source
from facecloud_client.words import say

GENDERS = {"M": ("男", "M"), "F": ("女", "F")}


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
        line["error"] = {"code": outcome.error.code, "message": outcome.error.message}
    else:
        line["error"] = {"message": str(outcome.error)}
    return json.dumps(line, ensure_ascii=False)


def face_table(outcomes: Iterable[Outcome]) -> Table:
    """One row a face; a picture without one, or refused, has one row that says so."""
    table = Table(header_style="bold", row_styles=["", "dim"])
    table.add_column(say("图片", "picture"), overflow="fold")
    table.add_column("#", justify="right")
    for zh, en in (("左,上", "left, top"), ("宽×高", "width×height"), ("概率", "probability")):
        table.add_column(say(zh, en), justify="right")
    for zh, en in (("性别", "gender"), ("年龄", "age"), ("质量", "quality")):
        table.add_column(say(zh, en))
    for outcome in outcomes:
        (name,) = map(escape, names(outcome.item))
        if not isinstance(outcome.result, FaceResult):
            table.add_row(name, "–", f"[red]{_one_line(outcome)}[/red]")
            continue
        quality = say("合格", "good") if outcome.result.pic_quality == 0 else say("不合格", "poor")
        if not outcome.result.faces:
            table.add_row(name, "0", say("没有人脸", "no face"), "", "", "", "", quality)
        for number, face in enumerate(outcome.result.faces, start=1):
            table.add_row(name, str(number), *_face_cells(face), quality)
            name, quality = "", ""
    return table


def compare_table(outcomes: Iterable[Outcome]) -> Table:
    """One row a pair."""
    table = Table(header_style="bold", row_styles=["", "dim"])
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
            say("合格", "good") if result.pic_quality == 0 else say("不合格", "poor"),
        )
    return table


def _face_cells(face: Face) -> list[str]:
    box = face.location
    gender = say(*GENDERS[face.gender]) if face.gender in GENDERS else ""
    return [
        f"{box.left}, {box.top}",
        f"{box.width}×{box.height}",
        "" if face.probability is None else f"{face.probability:.3f}",
        gender,
        "" if face.age is None else str(face.age),
    ]


def _one_line(outcome: Outcome) -> str:
    return escape(str(outcome.error).splitlines()[0])
