"""Readers for the evaluation folder.

Its files are verification/pairs.csv, attributes/labels.csv, cohort/labels.csv, detection/boxes.jsonl and
hostile/index.csv; docs/model-card.en.md describes them. It is research data for measurements only: it must
not be copied, stored or published.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures, and whether they show the same person."""

    first: Path
    second: Path
    same: bool


@dataclass(frozen=True, slots=True)
class Member:
    """A picture of one face with age in years, gender M or F, and ethnic group ("" if not labelled).

    `person` is the same for pictures of the same person.
    """

    path: Path
    age: int
    gender: str
    group: str
    person: str


@dataclass(frozen=True, slots=True)
class Boxed:
    """A picture with its faces as (left, top, width, height); `invalid` faces are neither hits nor misses."""

    path: Path
    boxes: tuple[tuple[float, float, float, float], ...]
    invalid: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Hostile:
    """An unusual or broken file, and what Pillow and OpenCV report for it."""

    path: Path
    magic: str
    pillow: str
    opencv: str


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def pairs(data: Path) -> list[Pair]:
    folder = data / "verification"
    return [
        Pair(folder / row["path1"], folder / row["path2"], row["same"] == "1")
        for row in _rows(folder / "pairs.csv")
    ]


def person(path: Path) -> str:
    """Return the person's name from the file name: Jane_Doe_0003.jpg → Jane_Doe."""
    return path.stem.rsplit("_", 1)[0]


def persons(paths: Iterable[Path]) -> npt.NDArray[np.intp]:
    """Return a number for each picture (N,), the same for pictures of one person."""
    return np.unique([person(path) for path in paths], return_inverse=True)[1]


def labelled(data: Path) -> list[Member]:
    """Return the faces with an age and a gender: attributes/labels.csv, and the cohort if there is one.

    A file that is in both is returned once.
    """
    folder = data / "attributes"
    members = cohort(data) if (data / "cohort").is_dir() else []
    known = {member.path.name for member in members}
    return members + [
        Member(folder / row["path"], int(row["age"]), row["gender"], row.get("group", ""), row["path"])
        for row in _rows(folder / "labels.csv")
        if Path(row["path"]).name not in known
    ]


def cohort(data: Path) -> list[Member]:
    """Return the faces of cohort/labels.csv.

    Rows with the same `person` (an optional column), and pairs in cohort/same_person.csv (an optional file),
    show the same person.
    """
    folder = data / "cohort"
    rows = _rows(folder / "labels.csv")
    person = {row["path"]: row.get("person") or row["path"] for row in rows}
    if (folder / "same_person.csv").exists():
        for pair in _rows(folder / "same_person.csv"):
            one, other = person.get(pair["path1"]), person.get(pair["path2"])
            if one and other:
                person = {path: other if owner == one else owner for path, owner in person.items()}
    return [
        Member(folder / row["path"], int(row["age"]), row["gender"], row["group"], person[row["path"]])
        for row in rows
    ]


def boxed(data: Path) -> list[Boxed]:
    folder = data / "detection"
    lines = [json.loads(line) for line in (folder / "boxes.jsonl").read_text().splitlines() if line.strip()]
    return [
        Boxed(
            folder / line["path"],
            tuple(tuple(face["box"]) for face in line["faces"]),
            tuple(bool(face.get("invalid")) for face in line["faces"]),
        )
        for line in lines
    ]


def hostile(data: Path) -> list[Hostile]:
    folder = data / "hostile"
    return [
        Hostile(folder / row["path"], row["magic"], row["pillow"], row["opencv"])
        for row in _rows(folder / "index.csv")
    ]


def padded_png(path: Path) -> bytes:
    """Return a face chip as PNG, padded with black by half its size, as a detector needs some margin."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    padded = cv2.copyMakeBorder(pixels, height, height, width, width, cv2.BORDER_CONSTANT)
    return bytes(cv2.imencode(".png", padded, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1])


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Call `work` and return its result and the wall-clock time in seconds."""
    started = time.perf_counter()
    return work(), time.perf_counter() - started
