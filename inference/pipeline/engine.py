"""The three functions of the product on the bytes of one picture. Independent of Django.

There is one Engine for each process; its sessions are shared by all threads, and calls are independent.

`analyse` and `embed` have two steps, so that the faces of several pictures share a network batch: `prepare_*`
decodes a picture and keeps only the chips of its faces, `finish_*` runs the networks on several prepared
pictures.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inference.arrays import Floats
from inference.calibration import scoring
from inference.calibration.cohort import cohort, fused
from inference.errors import IncompleteResultError
from inference.images.decoding import Picture, configure_opencv
from inference.models import registry
from inference.models.session import CPU, Session
from inference.pipeline.alignment import Aligned
from inference.pipeline.attributes import AttributeChips, AttributeEstimator
from inference.pipeline.detection_models import CenterFace, YuNet
from inference.pipeline.embedder import Embedder, EmbedderChips
from inference.pipeline.face_detector import FaceDetector, Found
from inference.pipeline.quality import NO_FACE, Purpose, judge, measure
from inference.results import (
    AnalyseResult,
    Attributes,
    Box,
    DetectResult,
    Face,
    IdentifyResult,
    Landmarks,
    Point,
    Quality,
    Template,
)

# A face smaller than this is aligned at a higher resolution of a large JPEG.
ALIGN_SIDE_PX = 128
# In a crowd, only the largest faces are embedded for age and gender: embedding takes most of the time.
MAX_EMBEDDED = 32
# Faces of one picture that are searched for in a gallery.
MAX_IDENTIFIED = 10
Vector = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PreparedAnalysis:
    """A picture prepared for AnalyseResult.

    `waiting` are the chips of its largest faces; `crowd` are the attributes of the others, already estimated.
    """

    faces: tuple[Face, ...]
    waiting: tuple[AttributeChips, ...]
    crowd: tuple[Attributes, ...]
    quality: Quality


@dataclass(frozen=True, slots=True)
class PreparedIdentification:
    """A picture prepared for an IdentifyResult: the boxes and the chips of the faces to identify."""

    boxes: tuple[Box, ...]
    chips: tuple[EmbedderChips, ...]
    quality: Quality


@dataclass(frozen=True, slots=True)
class PreparedEmbedding:
    """A picture prepared for a Template: the chips of its subject, or None if it has no face."""

    chips: EmbedderChips | None
    quality: Quality


class Engine:
    """Runs the models. Every model is loaded once; `detect`, `analyse` and `embed` are thread-safe."""

    def __init__(self, models_dir: Path, providers: Sequence[str] = CPU) -> None:
        """Load every model.

        Raises ModelError if a model file is missing or altered.
        """
        configure_opencv()

        def session(file: registry.ModelFile) -> Session:
            return Session(models_dir, file, providers)

        self.detector = FaceDetector(YuNet(session(registry.YUNET)), CenterFace(session(registry.CENTERFACE)))
        self.embedder = Embedder(session(registry.SFACE), session(registry.DLIB_RESNET))
        self.attributes = AttributeEstimator(session(registry.AGE), session(registry.GENDER), self.embedder)

    def detect(self, data: bytes) -> DetectResult:
        """Detect faces with landmarks and probability (manual 4.2.2 model 1). Raises ImageError."""
        picture = Picture(data)
        found = self.detector.find(picture)
        return DetectResult(self._faces(found), self._quality(found, "detect"))

    def analyse(self, data: bytes) -> AnalyseResult:
        """Detect faces and estimate age and gender (manual 4.2.2 model 2). Raises ImageError."""
        return next(self.finish_analyses([self.prepare_analysis(data)]))

    def prepare_analysis(self, data: bytes) -> PreparedAnalysis:
        """Run the first step of `analyse`. Raises ImageError."""
        picture = Picture(data)
        found = self.detector.find(picture)
        aligned = (self.align(picture, found, index) for index in range(len(found.detections)))
        waiting = tuple(AttributeChips.from_face(face) for face in islice(aligned, MAX_EMBEDDED))
        crowd = self.attributes.estimate(AttributeChips.from_face(face, embedded=False) for face in aligned)
        return PreparedAnalysis(self._faces(found), waiting, tuple(crowd), self._quality(found, "analyse"))

    def finish_analyses(self, pictures: Sequence[PreparedAnalysis]) -> Iterator[AnalyseResult]:
        """Yield a result for each prepared picture, in order.

        Raises IncompleteResultError (5002) in place of the first result that is not finite.
        """
        answers = self.attributes.estimate(chips for picture in pictures for chips in picture.waiting)
        for picture in pictures:
            attributes = (*islice(answers, len(picture.waiting)), *picture.crowd)
            faces = (
                replace(face, attributes=answer)
                for face, answer in zip(picture.faces, attributes, strict=True)
            )
            yield AnalyseResult(tuple(faces), picture.quality)

    def embed(self, data: bytes) -> Template:
        """Embed the subject of the picture (manual 4.2.2 model 3). Raises ImageError."""
        return next(self.finish_embeddings([self.prepare_embedding(data)]))

    def prepare_embedding(self, data: bytes) -> PreparedEmbedding:
        """Run the first step of `embed`. Raises ImageError."""
        picture = Picture(data)
        found = self.detector.find(picture)
        quality = self._quality(found, "compare")
        if not len(found.detections):
            return PreparedEmbedding(None, quality)
        return PreparedEmbedding(EmbedderChips.from_face(self.align(picture, found, found.subject)), quality)

    def prepare_largest(self, data: bytes) -> PreparedIdentification:
        """Prepare the subject of a picture for identification. Raises ImageError."""
        picture = Picture(data)
        found = self.detector.find(picture)
        return self._prepare_identification(picture, found, [found.subject] if len(found.detections) else [])

    def prepare_people(self, data: bytes) -> PreparedIdentification:
        """Prepare the MAX_IDENTIFIED largest faces for identification. Raises ImageError."""
        picture = Picture(data)
        found = self.detector.find(picture)
        return self._prepare_identification(picture, found, range(len(found.detections))[:MAX_IDENTIFIED])

    def _prepare_identification(
        self, picture: Picture, found: Found, chosen: Sequence[int]
    ) -> PreparedIdentification:
        chips = tuple(EmbedderChips.from_face(self.align(picture, found, index)) for index in chosen)
        faces = self._faces(found)
        boxes = tuple(faces[index].box for index in chosen)
        return PreparedIdentification(boxes, chips, self._quality(found, "compare"))

    def finish_identifications(self, pictures: Sequence[PreparedIdentification]) -> Iterator[IdentifyResult]:
        """Yield an IdentifyResult for each prepared picture, in order. Raises as `finish_embeddings`."""
        faces = [PreparedEmbedding(chips, picture.quality) for picture in pictures for chips in picture.chips]
        templates = self.finish_embeddings(faces)
        for picture in pictures:
            found = tuple(islice(templates, len(picture.boxes)))
            yield IdentifyResult(picture.boxes, found, picture.quality, scoring.template_version())

    def finish_embeddings(self, pictures: Sequence[PreparedEmbedding]) -> Iterator[Template]:
        """Yield a Template for each prepared picture, in order.

        Raises IncompleteResultError (5002) in place of the first embedding that is not finite.
        """
        chips = [picture.chips for picture in pictures if picture.chips is not None]
        rows = self._templates(chips) if chips else iter(())
        for picture in pictures:
            if picture.chips is None:
                yield Template((), (), 0.0, picture.quality)
                continue
            primary, secondary, constant = next(rows)
            if not np.isfinite([*primary, *secondary, constant]).all():
                raise IncompleteResultError("an embedding is not finite")
            yield Template(primary, secondary, constant, picture.quality)

    def _templates(self, faces: Sequence[EmbedderChips]) -> Iterator[tuple[Vector, Vector, float]]:
        """Embed faces, and yield both embeddings and the cohort constant of each."""
        found = self.embedder.embed(faces)
        primary, secondary = np.round(found.primary, 7), np.round(found.secondary, 7)
        constants = cohort().constants(fused(primary, secondary), found.lengths)
        for first, second, constant in zip(primary, secondary, constants, strict=True):
            yield tuple(first.tolist()), tuple(second.tolist()), round(float(constant), 6)

    def align(self, picture: Picture, found: Found, index: int) -> Aligned:
        """Return one face with precise landmarks, at the lowest resolution of the picture that suffices."""
        box, points = found.detections.boxes[index], found.detections.points[index]
        pixels, reduction = found.pixels, found.reduction
        while reduction > 1 and (box[2:] - box[:2]).max() < ALIGN_SIDE_PX:
            box, points, reduction = box * 2, points * 2, reduction // 2
            pixels = picture.level(reduction)
        return Aligned(pixels, self.detector.precise_points(pixels, box, points))

    def warm_up(self) -> None:
        """Run every model once, so that the first call is as fast as the others."""
        pixels = np.full((640, 640, 3), 127, np.uint8)
        self.detector.warm_up(pixels)
        points = np.array([[250, 250], [350, 250], [300, 300], [260, 360], [340, 360]], np.float64)
        list(self.attributes.estimate([AttributeChips.from_face(Aligned(pixels, points))]))

    def _faces(self, found: Found) -> tuple[Face, ...]:
        points = found.detections.points * found.reduction
        rows = zip(found.boxes_px, points, found.probabilities, strict=True)
        return tuple(_face(*row) for row in rows)

    def _quality(self, found: Found, purpose: Purpose) -> Quality:
        """Judge the quality of the picture by its largest face, or by its subject for a comparison."""
        if not len(found.detections):
            return NO_FACE
        height, width = found.pixels.shape[:2]
        judged = found.subject if purpose == "compare" else 0
        box, points = found.detections.boxes[judged], found.detections.points[judged].astype(np.float64)
        clipped = np.clip(box, 0, [width, height, width, height])
        areas = found.detections.sides.prod(axis=1)
        measures = measure(
            found.pixels,
            points,
            size_px=float(np.sqrt(areas[judged])) * found.reduction,
            inside=float((clipped[2:] - clipped[:2]).prod() / max(areas[judged], 1e-6)),
            uprightness=self.detector.uprightness(found, judged),
            dominance=1 - float(np.sqrt(areas[1] / areas[0])) if len(areas) > 1 else 1.0,
        )
        return judge(measures, purpose)


def _face(corners: npt.NDArray[np.int64], points: Floats, probability: float) -> Face:
    """Build a Face from its box (4,), with the landmarks (5, 2) rounded to pixels inside the box."""
    left, top, right, bottom = corners.tolist()
    inside = np.clip(np.rint(points), [left, top], [right - 1, bottom - 1]).astype(int).tolist()
    marks = Landmarks(*(Point(x, y) for x, y in inside))
    return Face(Box(left, top, right - left, bottom - top), marks, round(probability, 3))


_engines: dict[tuple[Path, tuple[str, ...]], Engine] = {}
_engines_lock = threading.Lock()


def engine(models_dir: Path, providers: Sequence[str] = CPU) -> Engine:
    """Return the process's shared Engine, loaded on first use. Raises ModelError."""
    key = (models_dir, tuple(providers))
    with _engines_lock:
        if key not in _engines:
            _engines[key] = Engine(models_dir, providers)
        return _engines[key]
