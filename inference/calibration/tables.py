"""The calibration set: everything that was fitted on data, as JSON files in one folder.

bench/fitting/fit.py writes it. calibration/ holds the set of this repository. `use` selects another folder
(the setting CALIBRATION_DIR) with the same files. The manifest states the format, the version, the models
that the set was fitted with, and the SHA-256 of each file; a set that does not match its manifest is
rejected.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from inference.errors import ModelError
from inference.models import registry

DIRECTORY = Path(__file__).parent
MANIFEST = "manifest.json"
FORMAT = 2
TABLES = ("attributes", "card", "cohort", "confidence", "face_probability")
# The networks whose outputs the tables are fitted on.
MODELS = (
    registry.YUNET,
    registry.CENTERFACE,
    registry.SFACE,
    registry.DLIB_RESNET,
    registry.AGE,
    registry.GENDER,
)

T = TypeVar("T")

_used = DIRECTORY
_readers: list[Any] = []


def reader(function: Callable[..., T]) -> Callable[..., T]:
    """Decorate a function that reads the set: cache its result until `use` selects another set."""
    cached = cache(function)
    _readers.append(cached)
    return cached


def use(directory: Path) -> None:
    """Read every table from `directory` from now on. Raises ModelError."""
    global _used
    verify(directory)
    _used = directory
    for cached in _readers:
        cached.cache_clear()


def directory() -> Path:
    """Return the folder of the set in use."""
    return _used


def verify(directory: Path) -> dict[str, Any]:
    """Check a set against its manifest and return the manifest. Raises ModelError if they do not match."""
    manifest = _manifest(directory)
    if manifest.get("format") != FORMAT:
        raise ModelError(
            f"The calibration set in {directory} has format {manifest.get('format')}, not {FORMAT}; refit it."
        )
    models = {file.file: file.sha256 for file in MODELS}
    if manifest.get("models") != models:
        raise ModelError(f"The calibration set in {directory} was fitted with other models; refit it.")
    for name in TABLES:
        if _sha256(directory / f"{name}.json") != manifest.get("files", {}).get(f"{name}.json"):
            raise ModelError(
                f"{directory / name}.json is missing or altered: its SHA-256 differs from the manifest."
            )
    return manifest


def _manifest(directory: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((directory / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise ModelError(f"{directory / MANIFEST} is missing or not JSON.") from error
    if not isinstance(manifest, dict):
        raise ModelError(f"{directory / MANIFEST} is not a manifest.")
    return manifest


def seal(directory: Path, version: str) -> None:
    """Write the manifest of the tables in `directory`."""
    manifest = {
        "format": FORMAT,
        "version": version,
        "models": {file.file: file.sha256 for file in MODELS},
        "files": {f"{name}.json": _sha256(directory / f"{name}.json") for name in TABLES},
    }
    (directory / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


@reader
def _verified(directory: Path) -> dict[str, Any]:
    return verify(directory)


def version() -> str:
    """Return the version of the set in use."""
    return str(_verified(_used)["version"])


@reader
def load(name: str) -> dict[str, Any]:
    """Return one table of the set in use, read once. Raises ModelError if the set was altered."""
    _verified(_used)
    table: dict[str, Any] = json.loads((_used / f"{name}.json").read_text())
    return table


@dataclass(frozen=True, slots=True)
class PiecewiseLinear:
    """Piecewise-linear interpolation between points with increasing x; constant outside them."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]

    @classmethod
    def from_points(cls, points: Sequence[Sequence[float]]) -> PiecewiseLinear:
        xs, ys = zip(*points, strict=True)
        if any(b <= a for a, b in pairwise(xs)):
            raise ValueError("the x values of the points must increase")
        if any(b < a for a, b in pairwise(ys)):
            raise ValueError("the y values of the points must not decrease")
        return cls(tuple(xs), tuple(ys))

    def __call__(self, x: float) -> float:
        if x <= self.xs[0]:
            return self.ys[0]
        if x >= self.xs[-1]:
            return self.ys[-1]
        i = bisect_right(self.xs, x)
        x0, x1, y0, y1 = self.xs[i - 1], self.xs[i], self.ys[i - 1], self.ys[i]
        return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
