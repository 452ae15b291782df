"""Compare with face_recognition and dlib on the same pictures: `bin/bench peers`.

The peer has its own environment under var/bench, created on demand: face_recognition 1.3.0 and dlib as a
wheel. With --data, the accuracy of both on the verification pairs is measured too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from bench import datasets, metrics
from bench.engine.speed import sample_pictures
from bench.output import Report, Section, progress
from inference.calibration.scoring import similarity
from inference.pipeline.engine import Engine

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / "var" / "bench" / "peers"
# face_recognition's models still import pkg_resources, which newer setuptools no longer carry.
PACKAGES = (
    "face-recognition==1.3.0",
    "face-recognition-models==0.3.0",
    "dlib-bin==20.0.1.post1",
    "numpy==2.4.6",
    "pillow==12.0.0",
    "click==8.3.1",
    "setuptools==80.9.0",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, help="the evaluation folder, for accuracy")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of every measurement")
    parser.add_argument("--pairs", type=int, default=200, help="pairs for accuracy, half of them genuine")


def run(arguments: argparse.Namespace, engine: Engine, report: Report) -> None:
    install()
    with Peer() as peer:
        report.add(speed(engine, peer, arguments.models, arguments.rounds))
        if arguments.data:
            report.add(accuracy(engine, peer, arguments.data, arguments.pairs))


def install() -> None:
    """Create the peer's environment if it does not exist."""
    python = ENVIRONMENT / "bin" / "python"
    if (ENVIRONMENT / "ready").exists():
        return
    print("Installing face_recognition and dlib into var/bench/peers (110 MB) …", file=sys.stderr)
    uv = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*uv, "venv", "--clear", "--python", sys.executable, str(ENVIRONMENT)], check=True)
    # Without dependencies: face_recognition depends on dlib's source package, which takes minutes to compile.
    subprocess.run([*uv, "pip", "install", "--python", str(python), "--no-deps", *PACKAGES], check=True)
    (ENVIRONMENT / "ready").touch()


class Peer:
    """A process in the peer's environment that answers each line of JSON with one line."""

    def __init__(self) -> None:
        command = [str(ENVIRONMENT / "bin" / "python"), str(Path(__file__).with_name("peer_process.py"))]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tempfile.gettempdir()
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(timeout=30)

    def ask(self, what: str, *paths: Path) -> dict[str, Any]:
        """Run `detect` on a picture or `compare` on two; return {"cpu_ms", "wall_ms", and the result}."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([what, *map(str, paths)]) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def _ours(engine: Engine, what: str, data: bytes) -> float:
    """Return the CPU-ms of one call of our engine."""
    started = time.process_time()
    if what == "detect":
        engine.detect(data)
    else:
        similarity(engine.embed(data), engine.embed(data))
    return (time.process_time() - started) * 1000


def speed(engine: Engine, peer: Peer, models_dir: Path, rounds: int) -> Section:
    """Measure both on the same pictures, in alternation, so that other load affects both equally."""
    section = Section("speed")
    rows = []
    pictures = {name: data for name, data in sample_pictures(models_dir).items() if name != "12 MP"}
    with tempfile.TemporaryDirectory() as folder:
        for size, data in pictures.items():
            path = Path(folder) / f"{size}.jpg"
            path.write_bytes(data)
            for what, files in (("detect", [path]), ("compare", [path, path])):
                ours, theirs = [], []
                for turn in progress(range(rounds + 1), f"{what} {size}"):
                    mine, other = _ours(engine, what, data), peer.ask(what, *files)["cpu_ms"]
                    if turn:
                        ours.append(mine)
                        theirs.append(other)
                mine, other = statistics.median(ours), statistics.median(theirs)
                rows.append((f"{what} {size}", mine, other, other / mine))
    section.table("speed", ("what", "ours, CPU-ms", "face_recognition, CPU-ms", "times faster"), rows)
    return section


def accuracy(engine: Engine, peer: Peer, data: Path, count: int) -> Section:
    """Measure ten-fold accuracy on the same pairs; a missing face counts as the lowest similarity."""
    pairs = datasets.pairs(data)
    chosen = [pair for same in (True, False) for pair in [p for p in pairs if p.same == same][: count // 2]]
    ours, theirs = [], []
    for pair in progress(chosen, "accuracy"):
        first, second = (engine.embed(path.read_bytes()) for path in (pair.first, pair.second))
        ours.append(similarity(first, second) if first.has_face and second.has_face else -99.0)
        theirs.append(-float(peer.ask("compare", pair.first, pair.second)["distance"]))
    same = np.array([pair.same for pair in chosen])
    section = Section("accuracy")
    section.value("pairs", len(chosen))
    for name, scores in (("ours", np.array(ours)), ("face_recognition", np.array(theirs))):
        section.value(f"{name}, accuracy of 10 folds", metrics.fold_accuracies(scores, same).mean())
        section.value(f"{name}, area under the curve", metrics.area_under_curve(scores[same], scores[~same]))
    return section
