"""Speed of the engine, by stage and as a whole: `bin/bench speed`.

CPU-milliseconds are those of the process, and hardly depend on other load, unlike wall-clock times.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from bench.output import Report, Section, progress
from inference.calibration.scoring import compare
from inference.images.decoding import Picture
from inference.images.headers import read_header
from inference.models.registry import ASTRONAUT
from inference.pipeline.attributes import AttributeChips
from inference.pipeline.embedder import EmbedderChips
from inference.pipeline.engine import Engine

# The sample portrait is measured at these sizes, as JPEG of quality 90.
SIZES = {"250x250": (250, 250), "1 MP": (1000, 1000), "12 MP": (4000, 3000)}
BATCHES = (1, 2, 4, 8, 16)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=15, help="repetitions of every measurement")


def run(arguments: argparse.Namespace, engine: Engine, report: Report) -> None:
    pictures = sample_pictures(arguments.models)
    report.add(stages(engine, pictures, arguments.rounds))
    report.add(functions(engine, pictures, arguments.rounds))
    report.add(batches(engine, pictures, arguments.rounds))
    report.add(threads(engine, pictures, arguments.rounds))


def sample_pictures(models_dir: Path) -> dict[str, bytes]:
    """Return the sample portrait as JPEG for each name of a size."""
    portrait = cv2.imread(str(models_dir / ASTRONAUT.file), cv2.IMREAD_COLOR)
    return {name: _jpeg(portrait, size) for name, size in SIZES.items()}


def _jpeg(portrait: np.ndarray, size: tuple[int, int]) -> bytes:
    """Return the portrait centred in a frame of that size, as large as possible."""
    scale = min(size[0] / portrait.shape[1], size[1] / portrait.shape[0])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=method)
    left, top = (size[0] - scaled.shape[1]) // 2, (size[1] - scaled.shape[0]) // 2
    frame = cv2.copyMakeBorder(
        scaled,
        top,
        size[1] - scaled.shape[0] - top,
        left,
        size[0] - scaled.shape[1] - left,
        cv2.BORDER_REFLECT,
    )
    return bytes(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])


def measured(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Return the median CPU-ms of the process and the median wall-ms of `work`, after a warm-up run."""
    work()
    cpu, wall = [], []
    for _ in range(rounds):
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        work()
        cpu.append((time.process_time() - cpu_s) * 1000)
        wall.append((time.perf_counter() - wall_s) * 1000)
    return statistics.median(cpu), statistics.median(wall)


def stages(engine: Engine, pictures: dict[str, bytes], rounds: int) -> Section:
    """Measure each step of a call."""
    section = Section("stages")
    rows: list[tuple[str, str, float, float]] = []
    for size, data in progress(list(pictures.items()), "stages"):
        picture = Picture(data)
        found = engine.detector.find(picture)
        face = engine.align(picture, found, 0)
        steps: dict[str, Callable[[], object]] = {
            "header": lambda data=data: read_header(data),
            "decode": lambda data=data, found=found: Picture(data).level(found.reduction),
            "find": lambda picture=picture: engine.detector.find(picture),
            "align": lambda picture=picture, found=found: engine.align(picture, found, 0),
            "embed": lambda face=face: engine.embedder.embed([EmbedderChips.from_face(face)]),
            "attributes": lambda face=face: engine.attributes.features([AttributeChips.from_face(face)]),
        }
        rows += [(size, step, *measured(work, rounds)) for step, work in steps.items()]
    section.table("stages", ("picture", "stage", "CPU-ms", "wall-ms"), rows)
    return section


def functions(engine: Engine, pictures: dict[str, bytes], rounds: int) -> Section:
    """Measure the three functions of the product with one picture each (two for compare)."""
    section = Section("functions")
    rows: list[tuple[str, str, float, float]] = []
    for size, data in progress(list(pictures.items()), "functions"):
        works: dict[str, Callable[[], object]] = {
            "detect": lambda data=data: engine.detect(data),
            "analyse": lambda data=data: engine.analyse(data),
            "compare": lambda data=data: compare(engine.embed(data), engine.embed(data)),
        }
        rows += [(size, name, *measured(work, rounds)) for name, work in works.items()]
    section.table("functions", ("picture", "function", "CPU-ms", "wall-ms"), rows)
    return section


def batches(engine: Engine, pictures: dict[str, bytes], rounds: int) -> Section:
    """Measure the cost of a face for different batch sizes, in alternation."""
    section = Section("batches")
    picture = Picture(pictures["1 MP"])
    face = engine.align(picture, engine.detector.find(picture), 0)
    seen, chips = EmbedderChips.from_face(face), AttributeChips.from_face(face)
    costs: dict[int, list[tuple[float, float]]] = {count: [] for count in BATCHES}
    for _ in progress(range(rounds), "batches"):
        for count, found in costs.items():
            embedding, _ = measured(lambda count=count: engine.embedder.embed([seen] * count), 1)
            estimate, _ = measured(lambda count=count: engine.attributes.features([chips] * count), 1)
            found.append((embedding / count, estimate / count))
    rows = [(count, *np.median(found, axis=0).tolist()) for count, found in costs.items()]
    section.table("batches", ("faces", "embedding, CPU-ms a face", "age and gender, CPU-ms a face"), rows)
    return section


def threads(engine: Engine, pictures: dict[str, bytes], rounds: int) -> Section:
    """Measure pictures per second through `detect`, with one thread and with two that share the engine."""
    section = Section("threads")
    rows = []
    for size, data in progress(list(pictures.items()), "threads"):
        rates = []
        for workers in (1, 2):
            with ThreadPoolExecutor(workers) as pool:
                started = time.perf_counter()
                list(pool.map(engine.detect, [data] * rounds * 2))
                rates.append(rounds * 2 / (time.perf_counter() - started))
        rows.append((size, *rates, rates[1] / rates[0]))
    section.table("threads", ("picture", "one thread, /s", "two threads, /s", "gain"), rows)
    return section
