"""How right the engine is: `bin/bench accuracy --data DIR`. Goes through the engine's public functions
only.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench import datasets, metrics
from bench.output import Report, Section, progress
from bench.rotation import rotation
from bench.small_faces import small_faces
from inference import scoring
from inference.engine import Engine
from inference.errors import InferenceError
from inference.results import Template

FARS = (1e-3, 1e-4, 1e-5)
PUBLISHED = (60.0, 70.0, 80.0)
FACELESS = -99.0  # below every similarity that two faces have
HEIGHTS = ((80, np.inf), (32, 80), (16, 32))
PARTS = ("verification", "detection", "small-faces", "rotation", "attributes", "hostile")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="the evaluation folder")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part (may be repeated)")


def run(arguments: argparse.Namespace, engine: Engine, report: Report) -> None:
    parts: dict[str, Callable[[Path, Engine], Section]] = {
        "verification": verification,
        "detection": detection,
        "small-faces": small_faces,
        "rotation": rotation,
        "attributes": attributes,
        "hostile": hostile,
    }
    for name in arguments.only or PARTS:
        report.add(parts[name](arguments.data, engine))


def templates(data: Path, engine: Engine) -> tuple[list[datasets.Pair], dict[Path, Template]]:
    """The pairs, and the template of every picture in them."""
    pairs = datasets.pairs(data)
    paths = sorted({path for pair in pairs for path in (pair.first, pair.second)})
    return pairs, {path: engine.embed(path.read_bytes()) for path in progress(paths, "verification")}


def similarity(first: Template, second: Template) -> float:
    """The fused similarity, FACELESS where one has no face."""
    return scoring.similarity(first, second) if first.has_face and second.has_face else FACELESS


def impostor_similarities(found: dict[Path, Template]) -> metrics.Floats:
    """`similarity` of all pairs of pictures of different people, in bulk."""
    paths = [path for path, template in found.items() if template.has_face]
    person = datasets.persons(paths)
    primary, secondary = scoring.parts()
    fused = primary.score(
        metrics.stranger_cosines(np.array([found[path].primary for path in paths]), person)
    ) + secondary.score(metrics.stranger_cosines(np.array([found[path].secondary for path in paths]), person))
    faceless = metrics.stranger_pairs(datasets.persons(found)) - len(fused)
    return np.append(fused, np.full(faceless, FACELESS))


def verification(data: Path, engine: Engine) -> Section:
    """LFW's protocol on the listed pairs; FAR on all pairs of pictures of different people."""
    pairs, found = templates(data, engine)
    same = np.array([pair.same for pair in pairs])
    scores = np.array([similarity(found[pair.first], found[pair.second]) for pair in pairs])
    impostors = impostor_similarities(found)
    confidence_map = scoring.confidence_map()
    impostor_confidence = np.interp(impostors, confidence_map.xs, confidence_map.ys)
    folds = metrics.fold_accuracies(scores, same)
    section = Section("verification")
    section.value("pictures", len(found))
    section.value("pictures without a face", sum(not template.has_face for template in found.values()))
    section.value("listed pairs", len(pairs))
    section.value("accuracy, 10 folds", folds.mean())
    section.value("accuracy, deviation of the folds", folds.std())
    section.value("area under the curve", metrics.area_under_curve(scores[same], scores[~same]))
    section.value("impostor pairs", len(impostors))
    for far in FARS:
        threshold = metrics.threshold_at(impostors, far)
        section.value(f"TAR at FAR {far:g}", metrics.accepted(scores[same], threshold))
    for confidence in PUBLISHED:
        far = scoring.false_accept_rate(confidence)
        realised = metrics.accepted(impostor_confidence, confidence)
        section.value(
            f"FAR realised at confidence {confidence:.0f}, as a multiple of {far:g}", realised / far
        )
    section.histogram("impostors", "fused similarity", np.histogram(impostors, bins=80, density=True))
    section.histogram("genuine", "fused similarity", np.histogram(scores[same], bins=80, density=True))
    return section


def detection(data: Path, engine: Engine) -> Section:
    """Recall by face height, false boxes (32 px or higher) an image, and the probability's reliability."""
    section = Section("detection")
    heights, hits, false_boxes, probabilities, outcomes = [], [], 0, [], []
    pictures = datasets.boxed(data)
    for picture in progress(pictures, "detection"):
        faces = engine.detect(picture.path.read_bytes()).faces
        faces = tuple(sorted(faces, key=lambda face: -face.probability))
        truth = np.array(picture.boxes, float).reshape(-1, 4)
        truth[:, 2:] += truth[:, :2]
        partner, was_found = metrics.match(metrics.corners(faces), truth)
        for index, box in enumerate(truth):
            if not picture.invalid[index]:
                heights.append(box[3] - box[1])
                hits.append(was_found[index])
        for face, mate in zip(faces, partner, strict=True):
            if mate >= 0 and picture.invalid[mate]:
                continue
            false_boxes += mate < 0 and face.box.height >= 32
            probabilities.append(face.probability)
            outcomes.append(mate >= 0)
    height, hit = np.array(heights), np.array(hits)
    section.value("pictures", len(pictures))
    for low, high in HEIGHTS:
        chosen = (height >= low) & (height < high)
        name = (
            f"recall of faces of {low} px and more"
            if high == np.inf
            else f"recall of faces of {low}-{high} px"
        )
        section.value(
            name, hit[chosen].mean() if chosen.any() else float("nan"), f"{int(chosen.sum())} faces"
        )
    section.value("false boxes of 32 px and more an image", false_boxes / len(pictures))
    promise, outcome = np.array(probabilities, float), np.array(outcomes, bool)
    section.value("expected calibration error", metrics.calibration_error(promise, outcome))
    section.table(
        "reliability", ("probability", "share that are faces", "boxes"), metrics.reliability(promise, outcome)
    )
    return section


def attributes(data: Path, engine: Engine) -> Section:
    """Age by decade, each decade weighing the same; gender from 16 up and below. Chips are padded by half."""
    section = Section("attributes")
    labelled = datasets.labelled(data)
    ages, guesses, right = [], [], []
    missing = 0
    for row in progress(labelled, "attributes"):
        faces = engine.analyse(datasets.padded_png(row.path)).faces
        if not faces or faces[0].attributes is None:
            missing += 1
            continue
        ages.append(row.age)
        guesses.append(faces[0].attributes.age)
        right.append(faces[0].attributes.gender == row.gender)
    age, guess, gender = np.array(ages), np.array(guesses), np.array(right)
    decade = np.minimum(age // 10, 9)
    rows = []
    for k in sorted(set(decade.tolist())):
        members = decade == k
        errors = (guess - age)[members]
        name = f"{k * 10}-{k * 10 + 9}"
        rows.append((name, np.abs(errors).mean(), errors.mean(), gender[members].mean(), int(members.sum())))
    section.value("pictures", len(labelled))
    section.value("pictures without a face", missing)
    section.value("age MAE, years, flat over the decades", float(np.mean([row[1] for row in rows])))
    section.value("age MAE, years, over the pictures", np.abs(guess - age).mean())
    section.value("gender accuracy from 16 up", gender[age >= 16].mean())
    section.value("gender accuracy below 16", gender[age < 16].mean())
    section.value("gender accuracy", gender.mean())
    section.table("by decade", ("age", "MAE, years", "bias, years", "gender right", "pictures"), rows)
    return section


def hostile(data: Path, engine: Engine) -> Section:
    """What comes of broken and odd files: counts of codes; anything but a documented code is a failure."""
    section = Section("hostile")
    outcomes: Counter[str] = Counter()
    slowest_s = 0.0
    files = datasets.hostile(data)
    for row in progress(files, "hostile"):
        outcome, seconds = datasets.timed(lambda row=row: _outcome(engine, row.path.read_bytes()))
        outcomes[outcome] += 1
        slowest_s = max(slowest_s, seconds)
    section.value("files", len(files))
    section.value("slowest file, ms", slowest_s * 1000)
    section.table("outcomes", ("outcome", "files"), sorted(outcomes.items()))
    return section


def _outcome(engine: Engine, data: bytes) -> str:
    try:
        return f"served, {min(len(engine.detect(data).faces), 1)} face(s) or more"
    except InferenceError as error:
        return str(error.code)
