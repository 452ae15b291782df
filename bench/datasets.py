"""The evaluation folder, read: verification/pairs.csv, attributes/labels.csv, detection/boxes.jsonl,
hostile/index.csv.

Research data for measuring. Nothing of it is copied, kept or shown.
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
    """Two pictures, and whether they show one person."""

    first: Path
    second: Path
    same: bool


@dataclass(frozen=True, slots=True)
class Labelled:
    """A picture of one face with its age in years and its gender, M or F."""

    path: Path
    age: int
    gender: str


@dataclass(frozen=True, slots=True)
class Boxed:
    """A picture with its faces as (left, top, width, height); `invalid` ones count neither way."""

    path: Path
    boxes: tuple[tuple[float, float, float, float], ...]
    invalid: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Hostile:
    """An odd or broken file, and what Pillow and OpenCV made of it."""

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
    """Whose face it is, by the file's name: Jane_Doe_0003.jpg → Jane_Doe."""
    return path.stem.rsplit("_", 1)[0]


def persons(paths: Iterable[Path]) -> npt.NDArray[np.intp]:
    """A number for each picture (N,), the same for pictures of one person."""
    return np.unique([person(path) for path in paths], return_inverse=True)[1]


def labelled(data: Path) -> list[Labelled]:
    folder = data / "attributes"
    return [
        Labelled(folder / row["path"], int(row["age"]), row["gender"]) for row in _rows(folder / "labels.csv")
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
    """A face chip with half its size of black on each side, as a PNG: detectors want some room."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    padded = cv2.copyMakeBorder(pixels, height, height, width, width, cv2.BORDER_CONSTANT)
    return bytes(cv2.imencode(".png", padded, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1])


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What `work` returns, and the wall seconds that it took."""
    started = time.perf_counter()
    return work(), time.perf_counter() - started
