"""The memory of an inference worker per slot: `bin/bench memory`.

Each measurement is a separate process with the engine of a worker and one thread per slot. Each thread
processes chunks of four of the largest pictures that the API accepts, as a Celery task does. Reports the
resident memory after the warm-up, the maximum, and the difference per slot.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from bench.engine.speed import sample_pictures
from bench.output import Report, Section
from embedded.paths import REPOSITORY

MODELS = REPOSITORY / "var" / "models"
SIDE = 5000  # 25 megapixels, the limit
CHUNK = 4


def png_of_16_bits() -> bytes:
    """Return the portrait at 25 megapixels with 16 bits a channel: the largest picture once decoded."""
    small = cv2.resize(portrait(), (500, 500))  # with more detail, the file would exceed 10 MiB
    large = cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
    return bytes(cv2.imencode(".png", large.astype(np.uint16) * 257)[1])


def jpeg() -> bytes:
    """Return the portrait at 25 megapixels as JPEG."""
    large = cv2.resize(portrait(), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return bytes(cv2.imencode(".jpg", large, [cv2.IMWRITE_JPEG_QUALITY, 85])[1])


def portrait_of_1_mp() -> bytes:
    return sample_pictures(MODELS)["1 MP"]


def portrait() -> np.ndarray:
    return cv2.imdecode(np.frombuffer(portrait_of_1_mp(), np.uint8), cv2.IMREAD_COLOR)


KINDS: dict[str, Callable[[], bytes]] = {
    "16-bit PNG, 25 MP": png_of_16_bits,
    "JPEG, 25 MP": jpeg,
    "JPEG, 1 MP": portrait_of_1_mp,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="bin/bench memory", description=__doc__.partition("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--chunks", type=int, default=3, help="chunks of four pictures, for each slot")
    parser.add_argument("--operation", default="embed", choices=["detect", "analyse", "embed"])
    parser.add_argument("--only", choices=KINDS, action="append", help="kind of picture (repeatable)")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)  # slots; the picture on standard input
    arguments = parser.parse_args()
    if arguments.child:
        picture = sys.stdin.buffer.read()
        print(json.dumps(measure(arguments.child, picture, arguments.chunks, arguments.operation)))
        return 0
    from inference.models.setup import ensure_models

    ensure_models(MODELS)
    section = Section(f"{arguments.operation}, chunks of {CHUNK} pictures")
    for kind in arguments.only or KINDS:
        picture = KINDS[kind]()
        rows = []
        for slots in arguments.slots:
            command = [sys.executable, "-m", "bench", "memory", "--child", str(slots)]
            command += ["--chunks", str(arguments.chunks), "--operation", arguments.operation]
            done = subprocess.run(
                command, input=picture, stdout=subprocess.PIPE, check=True, cwd=REPOSITORY, env=environment()
            )
            rows.append((slots, *json.loads(done.stdout)))
        more = [(b[2] - a[2]) / (b[0] - a[0]) for a, b in pairwise(rows)]
        section.table(kind, ["slots", "warm MB", "highest MB", "MB a slot"], [
            [slots, warm, highest, (highest - warm) / slots] for slots, warm, highest in rows
        ])  # fmt: skip
        if more:
            section.value(f"{kind}: MB for each additional slot", max(more))
    Report("memory").add(section)
    return 0


def environment() -> dict[str, str]:
    """Return the environment of a worker, as in embedded/site.py."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        "MODELS_DIR": str(MODELS),
        "DJANGO_SETTINGS_MODULE": "facecloud.settings_worker",
    }


def measure(slots: int, picture: bytes, chunks: int, operation: str) -> tuple[float, float]:
    """Return the resident MB after the warm-up, and the maximum with all slots busy."""
    from inference.pipeline.engine import Engine
    from inference.worker.tasks import OPERATIONS, run

    engine = Engine(MODELS)
    engine.warm_up()
    warm = status_mb("VmRSS")

    def work(_slot: int) -> None:
        for _ in range(chunks):
            _results, failure = run(OPERATIONS[operation], engine, [bytes(bytearray(picture))] * CHUNK)
            if failure is not None:
                raise SystemExit(f"the picture fails with {failure.code} {failure.detail}")

    with ThreadPoolExecutor(slots) as pool:
        list(pool.map(work, range(slots)))
    return warm, status_mb("VmHWM")


def status_mb(name: str) -> float:
    """Return a value of /proc/self/status in MB; unlike getrusage's, it excludes the parent's memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    sys.exit(main())
