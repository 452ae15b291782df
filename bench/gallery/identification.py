"""Open-set identification and the stated false-match rate, on the pictures of the evaluation folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bench import datasets

if TYPE_CHECKING:  # at run time, only after Django is set up
    from inference.pipeline.engine import Engine
    from inference.results import Template

Floats = npt.NDArray[np.float64]
FPIRS = (1e-2, 1e-3)
MODELS_DIR = Path(__file__).resolve().parent.parent.parent / "var" / "models"


def engine_of_models() -> Engine:
    """Return an engine with the models of this checkout."""
    from inference.models.setup import ensure_models
    from inference.pipeline.engine import Engine

    ensure_models(MODELS_DIR)
    return Engine(MODELS_DIR)


def people(data: Path, engine: Engine) -> list[list[Template]]:
    """Return the templates of each person in DIR/verification."""
    of_person: dict[str, list[Template]] = defaultdict(list)
    for path in sorted((data / "verification" / "images").glob("*.jpg")):
        template = engine.embed(path.read_bytes())
        if template.has_face:
            of_person[datasets.person(path)].append(template)
    return list(of_person.values())


def accuracy(data: Path, found: Sequence[list[Template]], engine: Engine, splits: int) -> None:
    """Print FNIR at fixed FPIRs, and the stated and the realised false-match rate."""
    from inference.calibration import scoring

    known = [templates for templates in found if len(templates) > 1]
    lone = [templates[0] for templates in found if len(templates) == 1]
    print(f"{len(known)} people with several pictures, {len(lone)} with one")
    random = np.random.default_rng(7)
    whole = len(known) + len(lone) // 2
    for size in (100, 300, 400, whole):
        rows = [_split(known, lone, size, random, scoring) for _ in range(splits)]
        mated = np.concatenate([row[0] for row in rows])
        strangers = np.concatenate([row[1] for row in rows])
        print(f"N = {size}: {len(mated)} mated searches, {len(strangers)} of strangers, in {splits} splits")
        for fpir in FPIRS:
            threshold = float(np.quantile(strangers, 1 - fpir))
            missed = float((mated < threshold).mean())
            print(f"  FPIR {fpir:g}: threshold {threshold:.1f}, FNIR {missed:.4f}")
        for confidence in (60.0, 70.0, 80.0):
            stated = 1 - (1 - scoring.false_accept_rate(confidence)) ** size
            realised = float((strangers >= confidence).mean())
            print(f"  from {confidence:g}: stated {stated:.4f}, among any strangers {realised:.4f}")
    if (data / "cohort").is_dir():
        _look_alikes(data, engine, scoring)


def _split(
    known: Sequence[Any], lone: Sequence[Any], size: int, random: np.random.Generator, scoring: Any
) -> tuple[Floats, Floats]:
    """Return each mated search's confidence (-1 if another person ranks higher), and each stranger's best."""
    people = [known[number] for number in random.permutation(len(known))]
    others = [lone[number] for number in random.permutation(len(lone))]
    enrolled, probes = [], []
    for number, templates in enumerate(people[:size]):
        first, *rest = [templates[at] for at in random.permutation(len(templates))]
        enrolled.append(first)
        probes += [(number, template) for template in rest]
    fillers = max(0, size - len(enrolled))
    enrolled += others[:fillers]
    strangers = others[fillers:]
    gallery = np.array([scoring.gallery_vector(template) for template in enrolled])
    mated = []
    for number, template in probes:
        products = gallery @ np.array(scoring.probe_vector(template))
        best = int(products.argmax())
        mated.append(scoring.confidence_of(float(products[best]), template) if best == number else -1.0)
    found = [
        scoring.confidence_of(float((gallery @ np.array(scoring.probe_vector(one))).max()), one)
        for one in strangers
    ]
    return np.array(mated), np.array(found)


def _look_alikes(data: Path, engine: Any, scoring: Any) -> None:
    """Print stated and realised rates among people of one gender, age group and ethnic group."""
    from bench.strangers import ADULT, age_group

    cells: dict[tuple[str, str, str], list[tuple[str, Any]]] = defaultdict(list)
    for member in datasets.cohort(data):
        if member.age >= ADULT and member.group:
            template = engine.embed(datasets.padded_png(member.path))
            if template.has_face:
                cell = member.gender, age_group(member.age), member.group
                cells[cell].append((member.person, template))
    totals: dict[float, list[tuple[float, float, int]]] = defaultdict(list)
    for rows in cells.values():
        if len(rows) < 30:
            continue
        owners = np.array([owner for owner, _template in rows])
        vectors = np.array([scoring.gallery_vector(template) for _owner, template in rows])
        for owner, template in rows:
            others = vectors[owners != owner]
            products = others @ np.array(scoring.probe_vector(template))
            found = np.array([scoring.confidence_of(float(product), template) for product in products])
            for confidence in (40.0, 50.0, 60.0, 70.0):
                stated = 1 - (1 - scoring.false_accept_rate(confidence)) ** len(others)
                matches = int((found >= confidence).sum())
                totals[confidence].append((stated, float(matches > 0), matches))
    for confidence, searches in totals.items():
        stated, realised, _matches = np.array(searches).mean(axis=0)
        pairs = sum(matches for _stated, _realised, matches in searches) // 2  # each is counted twice
        print(
            f"look-alikes from {confidence:g}: stated {stated:.4f}, realised {realised:.4f} of "
            f"{len(searches)} searches; {pairs} pairs"
        )
