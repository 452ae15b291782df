"""Detection of faces of 40 px in 12 MP frames: real faces pasted on various backgrounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from bench import datasets, metrics
from bench.output import Section, progress
from inference.arrays import Pixels
from inference.images.headers import MAX_BYTES
from inference.pipeline.engine import Engine

FRAME_PX = (4000, 3000)
FACE_PX = 40
FACES_A_FRAME = 10
ROUNDS = 2
# The minimum distance between the corners of two faces, larger than any face.
APART_PX = 140
QUALITIES = (80, 85, 90, 95)
PEOPLE = 60

Source = Literal["LFW, with surroundings", "LFW, the box alone", "UTKFace, the whole chip"]
SOURCES: tuple[Source, ...] = ("LFW, with surroundings", "LFW, the box alone", "UTKFace, the whole chip")
WITHOUT_FACES = ("plain", "gradient", "blurred noise", "pixel noise")
BACKGROUNDS = (
    *WITHOUT_FACES,
    "photograph",
    "grainy photograph",
    "blurred photograph",
    "mosaic of photographs",
)


@dataclass(frozen=True, slots=True)
class Face:
    """A cut-out whose face is FACE_PX high, and the face's box in it: left, top, right, bottom."""

    pixels: Pixels
    box: npt.NDArray[np.float64]


def small_faces(data: Path, engine: Engine) -> Section:
    """Measure recall and false boxes on composed frames.

    A face is found if a box has an IoU of .5 with it. On photographs, their own faces are neither hits nor
    misses; on other backgrounds every other box is false.
    """
    random = np.random.default_rng(0)
    faces = {source: _faces(data, engine, source, random) for source in SOURCES}
    photographs = [picture.path for picture in datasets.boxed(data)]
    plan = [(name, source) for name in BACKGROUNDS for source in SOURCES] * ROUNDS
    shown: Counter[str] = Counter()
    found: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for name, source in progress(plan, "small faces"):
        frame = _background(name, photographs, random)
        truth = _paste(frame, faces[source], random)
        result = engine.detect(_jpeg(frame, int(random.choice(QUALITIES))))
        partner, hits = metrics.match(metrics.corners(result.faces), truth)
        for key in (name, source):
            shown[key] += len(truth)
            found[key] += int(hits.sum())
            others[key] += int((partner < 0).sum())
    section = Section("small faces")
    section.value("frames of 12 MP", len(plan))
    section.value("faces of 40 px", sum(shown[name] for name in BACKGROUNDS))
    section.value("found", sum(found[name] for name in BACKGROUNDS))
    section.value("false boxes on the backgrounds without faces", sum(others[name] for name in WITHOUT_FACES))
    for title, names in (("by background", BACKGROUNDS), ("by kind of face", SOURCES)):
        section.table(
            title, ("", "found", "faces"), [(name, found[name] / shown[name], shown[name]) for name in names]
        )
    return section


def _faces(data: Path, engine: Engine, source: Source, random: np.random.Generator) -> Iterator[Face]:
    """Yield faces of PEOPLE people, repeatedly; the engine locates them in the full-size pictures."""
    if source == "UTKFace, the whole chip":
        paths = [row.path for row in datasets.labelled(data)]
    else:
        listed = [path for pair in datasets.pairs(data) for path in (pair.first, pair.second)]
        paths = list({datasets.person(path): path for path in listed}.values())
    random.shuffle(paths)
    return cycle(list(islice(_cut_outs(engine, paths, source), PEOPLE)))


def _cut_outs(engine: Engine, paths: list[Path], source: Source) -> Iterator[Face]:
    """Yield the faces of pictures that show exactly one face."""
    for path in paths:
        found = engine.detect(datasets.padded_png(path)).faces
        if len(found) == 1:
            pixels = np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR), np.uint8)
            height, width = pixels.shape[:2]
            box = found[0].box
            left, top = box.left - width // 2, box.top - height // 2
            yield _cut_out(pixels, np.array([left, top, left + box.width, top + box.height]), source)


def _cut_out(pixels: Pixels, box: npt.NDArray[np.int64], source: Source) -> Face:
    """Return the face with the margin that `source` names, scaled to FACE_PX."""
    size = np.array(pixels.shape[1::-1])
    margin = {"LFW, with surroundings": 0.25, "LFW, the box alone": 0.0}.get(source, np.inf)
    height = box[3] - box[1]
    left, top = np.clip(box[:2] - margin * height, 0, size).astype(int)
    right, bottom = np.clip(box[2:] + margin * height, 0, size).astype(int)
    scale = FACE_PX / height
    part = cv2.resize(pixels[top:bottom, left:right], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return Face(np.asarray(part, np.uint8), (box - [left, top, left, top]) * scale)


def _paste(frame: Pixels, faces: Iterator[Face], random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Paste ten faces at random positions, apart from each other; return their boxes in the frame (10, 4)."""
    corners: list[npt.NDArray[np.int64]] = []
    boxes = []
    for face in islice(faces, FACES_A_FRAME):
        height, width = face.pixels.shape[:2]
        while True:
            corner = random.integers(0, (FRAME_PX[0] - width, FRAME_PX[1] - height))
            if all(np.abs(corner - other).max() > APART_PX for other in corners):
                break
        corners.append(corner)
        left, top = corner
        frame[top : top + height, left : left + width] = face.pixels
        boxes.append(face.box + np.tile(corner, 2))
    return np.array(boxes)


def _background(name: str, photographs: list[Path], random: np.random.Generator) -> Pixels:
    """Return a new background (3000, 4000, 3)."""
    width, height = FRAME_PX
    first, second = random.integers(0, 256, (2, 3))
    if name == "plain":
        return np.full((height, width, 3), first, np.uint8)
    if name == "gradient":
        share = np.linspace(0, 1, width)[:, None]
        return np.tile(np.asarray(first * (1 - share) + second * share, np.uint8), (height, 1, 1))
    if name.endswith("noise"):
        noise = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        return np.asarray(noise if name == "pixel noise" else cv2.GaussianBlur(noise, (0, 0), 2), np.uint8)
    if name == "mosaic of photographs":
        tiles = [_photograph(photographs, random, (1000, 750)) for _ in range(16)]
        return np.vstack([np.hstack(tiles[row : row + 4]) for row in range(0, 16, 4)])
    frame = _photograph(photographs, random, FRAME_PX)
    if name == "grainy photograph":
        grain = random.normal(0, 6, frame.shape).astype(np.float32)
        return np.asarray(np.clip(frame + grain, 0, 255), np.uint8)
    return np.asarray(cv2.GaussianBlur(frame, (0, 0), 9), np.uint8) if "blurred" in name else frame


def _photograph(paths: list[Path], random: np.random.Generator, size: tuple[int, int]) -> Pixels:
    """Return a random photograph, scaled and cropped to (width, height)."""
    pixels = cv2.imread(str(paths[random.integers(len(paths))]), cv2.IMREAD_COLOR)
    scale = max(size[0] / pixels.shape[1], size[1] / pixels.shape[0])
    scaled = (max(size[0], round(pixels.shape[1] * scale)), max(size[1], round(pixels.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, scaled, interpolation=method)[: size[1], : size[0]], np.uint8).copy()


def _jpeg(frame: Pixels, quality: int) -> bytes:
    """Encode a frame at that quality, or the next lower one that is within the product's size limit."""
    for lower in range(quality, 0, -10):
        data = bytes(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, lower])[1])
        if len(data) <= MAX_BYTES:
            return data
    raise ValueError("no quality makes this frame small enough")
