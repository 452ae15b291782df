"""The three functions of the product on the bytes of one picture. Knows no Django.

One Engine a process, its sessions shared by all threads; every call is independent of every other.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inference import registry
from inference.alignment import Aligned
from inference.arrays import Floats
from inference.attributes import AttributeEstimator
from inference.decoding import Picture, configure_opencv
from inference.detector import CenterFace, YuNet
from inference.embedder import Embedder
from inference.finder import FaceFinder, Found
from inference.quality import NO_FACE, Purpose, judge, measure
from inference.results import AnalyseResult, Box, DetectResult, Face, Landmarks, Point, Quality, Template
from inference.runtime import CPU, Session

# A face smaller than this is looked up in a finer level of a large JPEG before it is aligned.
ALIGN_SIDE_PX = 128


class Engine:
    """Loads every model once. `detect`, `analyse` and `embed` may be called from any thread."""

    def __init__(self, models_dir: Path, providers: Sequence[str] = CPU) -> None:
        """Raises ModelError where a model file is missing or altered."""
        configure_opencv()

        def session(file: registry.ModelFile) -> Session:
            return Session(models_dir, file, providers)

        self.finder = FaceFinder(YuNet(session(registry.YUNET)), CenterFace(session(registry.CENTERFACE)))
        self.embedder = Embedder(session(registry.SFACE), session(registry.DLIB_RESNET))
        self.attributes = AttributeEstimator(session(registry.AGE), session(registry.GENDER), self.embedder)

    def detect(self, data: bytes) -> DetectResult:
        """Faces with landmarks and probability (manual 4.2.2 model 1). Raises ImageError."""
        picture = Picture(data)
        found = self.finder.find(picture)
        return DetectResult(self._faces(found), self._quality(found, "detect"))

    def analyse(self, data: bytes) -> AnalyseResult:
        """Faces with age and gender (manual 4.2.2 model 2). Raises ImageError."""
        picture = Picture(data)
        found = self.finder.find(picture)
        aligned = [self.align(picture, found, index) for index in range(len(found.detections))]
        attributes = self.attributes.estimate(aligned)
        faces = [
            replace(face, attributes=answer)
            for face, answer in zip(self._faces(found), attributes, strict=True)
        ]
        return AnalyseResult(tuple(faces), self._quality(found, "analyse"))

    def embed(self, data: bytes) -> Template:
        """The embeddings of the largest face (manual 4.2.2 model 3). Raises ImageError."""
        picture = Picture(data)
        found = self.finder.find(picture)
        quality = self._quality(found, "compare")
        if not len(found.detections):
            return Template((), (), quality)
        vectors = self.embedder.embed([self.align(picture, found, 0)])
        primary, secondary = (tuple(np.round(rows[0], 7).tolist()) for rows in vectors)
        return Template(primary, secondary, quality)

    def align(self, picture: Picture, found: Found, index: int) -> Aligned:
        """One face with precise landmarks, in the coarsest level of the picture that shows it well."""
        box, points = found.detections.boxes[index], found.detections.points[index]
        pixels, reduction = found.pixels, found.reduction
        while reduction > 1 and (box[2:] - box[:2]).max() < ALIGN_SIDE_PX:
            box, points, reduction = box * 2, points * 2, reduction // 2
            pixels = picture.level(reduction)
        return Aligned(pixels, self.finder.precise_points(pixels, box, points))

    def warm_up(self) -> None:
        """Run every model once, so that the first call is not the slow one."""
        pixels = np.full((640, 640, 3), 127, np.uint8)
        self.finder.warm_up(pixels)
        points = np.array([[250, 250], [350, 250], [300, 300], [260, 360], [340, 360]], np.float64)
        self.attributes.estimate([Aligned(pixels, points)])
        self.embedder.embed([Aligned(pixels, points)])

    def _faces(self, found: Found) -> tuple[Face, ...]:
        points = found.detections.points * found.reduction
        rows = zip(found.boxes_px, points, found.probabilities, strict=True)
        return tuple(_face(*row) for row in rows)

    def _quality(self, found: Found, purpose: Purpose) -> Quality:
        """Judged on the largest face."""
        if not len(found.detections):
            return NO_FACE
        height, width = found.pixels.shape[:2]
        box, points = found.detections.boxes[0], found.detections.points[0].astype(np.float64)
        clipped = np.clip(box, 0, [width, height, width, height])
        areas = found.detections.sides.prod(axis=1)
        measures = measure(
            found.pixels,
            points,
            size_px=float(np.sqrt(areas[0])) * found.reduction,
            inside=float((clipped[2:] - clipped[:2]).prod() / max(areas[0], 1e-6)),
            dominance=1 - float(np.sqrt(areas[1] / areas[0])) if len(areas) > 1 else 1.0,
        )
        return judge(measures, purpose)


def _face(corners: npt.NDArray[np.int64], points: Floats, probability: float) -> Face:
    """Landmarks rounded to whole pixels inside the box."""
    left, top, right, bottom = corners.tolist()
    inside = np.clip(np.rint(points), [left, top], [right - 1, bottom - 1]).astype(int).tolist()
    marks = Landmarks(*(Point(x, y) for x, y in inside))
    return Face(Box(left, top, right - left, bottom - top), marks, round(probability, 3))


_engines: dict[tuple[Path, tuple[str, ...]], Engine] = {}
_engines_lock = threading.Lock()


def engine(models_dir: Path, providers: Sequence[str] = CPU) -> Engine:
    """The process's shared Engine, loaded on first use."""
    key = (models_dir, tuple(providers))
    with _engines_lock:
        if key not in _engines:
            _engines[key] = Engine(models_dir, providers)
        return _engines[key]
