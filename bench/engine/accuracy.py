"""Accuracy of the engine: `bin/bench accuracy --data DIR`.

Uses only the engine's public functions.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from bench import datasets, metrics
from bench.engine.rotation import rotation
from bench.engine.small_faces import small_faces
from bench.fitting.fit_attributes import errors_by_group
from bench.fitting.fit_confidence import PUBLISHED, data_digest
from bench.output import Report, Section, progress
from bench.strangers import Pairs, groups_of, look_alikes, rates_by_group, same_person
from inference.calibration import scoring, tables
from inference.errors import InferenceError
from inference.pipeline.engine import Engine
from inference.results import Template

FARS = (1e-3, 1e-4, 1e-5)
SUSPECTS = 100
FACELESS = -99.0  # below the similarity of any two faces
HEIGHTS = ((80, np.inf), (32, 80), (16, 32))
PARTS = ("verification", "groups", "detection", "small-faces", "rotation", "attributes", "hostile")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="the evaluation folder")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part (may be repeated)")
    parser.add_argument(
        "--suspects", type=Path, help="write the most similar pairs of strangers to this CSV file"
    )


def run(arguments: argparse.Namespace, engine: Engine, report: Report) -> None:
    parts: dict[str, Callable[[Path, Engine], Section]] = {
        "verification": verification,
        "groups": partial(groups, suspects=arguments.suspects),
        "detection": detection,
        "small-faces": small_faces,
        "rotation": rotation,
        "attributes": attributes,
        "hostile": hostile,
    }
    for name in arguments.only or PARTS:
        report.add(parts[name](arguments.data, engine))


def templates(data: Path, engine: Engine) -> tuple[list[datasets.Pair], dict[Path, Template]]:
    """Return the pairs, and the template of every picture in them."""
    pairs = datasets.pairs(data)
    paths = sorted({path for pair in pairs for path in (pair.first, pair.second)})
    return pairs, {path: engine.embed(path.read_bytes()) for path in progress(paths, "verification")}


def similarity(first: Template, second: Template) -> float:
    """Return the fused similarity, or FACELESS if one of the pictures has no face."""
    return scoring.similarity(first, second) if first.has_face and second.has_face else FACELESS


def impostor_similarities(found: dict[Path, Template]) -> metrics.Floats:
    """Return `similarity` for all pairs of pictures of different people, vectorised."""
    paths = [path for path, template in found.items() if template.has_face]
    person = datasets.persons(paths)
    vectors = np.array([scoring.fused_vector(found[path]) for path in paths])
    constants = np.array([found[path].constant for path in paths])
    fused = np.concatenate(
        [
            (vectors[i + 1 :] @ vectors[i] - (constants[i + 1 :] + constants[i]) / 2)[
                person[i + 1 :] != person[i]
            ].astype(np.float32)
            for i in range(len(paths))
        ]
    )
    faceless = metrics.stranger_pairs(datasets.persons(found)) - len(fused)
    return np.append(fused + scoring.zero(), np.full(faceless, FACELESS))


def to_confidence(similarities: metrics.Floats) -> metrics.Floats:
    """Apply the published map to an array."""
    confidence_map = scoring.confidence_map()
    return np.interp(similarities, confidence_map.xs, confidence_map.ys)


def verification(data: Path, engine: Engine) -> Section:
    """Evaluate LFW's protocol on the listed pairs, and the FAR on all pairs of different people."""
    pairs, found = templates(data, engine)
    same = np.array([pair.same for pair in pairs])
    scores = np.array([similarity(found[pair.first], found[pair.second]) for pair in pairs])
    impostors = impostor_similarities(found)
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
    confidences = to_confidence(scores)
    for confidence in PUBLISHED:
        section.value(
            f"same person accepted at confidence {confidence:.0f}",
            metrics.accepted(confidences[same], confidence),
        )
    impostor_confidences = to_confidence(impostors)
    for confidence in PUBLISHED:
        realised = metrics.accepted(impostor_confidences, confidence)
        section.value(f"strangers of any kind accepted at confidence {confidence:.0f}", realised)
    section.histogram("impostors", "fused similarity", np.histogram(impostors, bins=80, density=True))
    section.histogram("genuine", "fused similarity", np.histogram(scores[same], bins=80, density=True))
    return section


def detection(data: Path, engine: Engine) -> Section:
    """Measure recall by face height, false boxes of 32 px or more per image, and calibration."""
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
    """Measure age error by decade, with the same weight for each decade, and gender accuracy; both by group.

    Chips are padded by half their size.
    """
    section = Section("attributes")
    labelled = datasets.labelled(data)
    seen, guesses, genders = [], [], []
    for member in progress(labelled, "attributes"):
        faces = engine.analyse(datasets.padded_png(member.path)).faces
        if faces and faces[0].attributes is not None:
            seen.append(member)
            guesses.append(faces[0].attributes.age)
            genders.append(faces[0].attributes.gender == member.gender)
    age, right = np.array([member.age for member in seen]), np.array(genders)
    errors = np.array(guesses) - age
    decade = np.minimum(age // 10, 9)
    rows = []
    for k in sorted(set(decade.tolist())):
        members = decade == k
        name = f"{k * 10}-{k * 10 + 9}"
        mae, bias = np.abs(errors[members]).mean(), errors[members].mean()
        rows.append((name, mae, bias, right[members].mean(), int(members.sum())))
    section.value("pictures", len(labelled))
    section.value("pictures without a face", len(labelled) - len(seen))
    section.value("age MAE, years, decades weighted equally", float(np.mean([row[1] for row in rows])))
    section.value("age MAE, years, over the pictures", np.abs(errors).mean())
    section.value("gender accuracy from 16 up", right[age >= 16].mean())
    section.value("gender accuracy below 16", right[age < 16].mean())
    section.value("gender accuracy", right.mean())
    columns = ("MAE, years", "bias, years", "gender right", "pictures")
    section.table("by decade", ("age", *columns), rows)
    groups = errors_by_group(seen, errors.astype(float), right)
    section.table(
        "by group",
        ("group", *columns),
        [(row["name"], row["age_mae"], row["age_bias"], row["gender_right"], row["faces"]) for row in groups],
    )
    return section


def groups(data: Path, engine: Engine, suspects: Path | None = None) -> Section:
    """Measure the false-accept rate of similar-looking strangers by group, with 95 % intervals (cohort/).

    Writes the pairs with the highest confidence to `suspects` as CSV, to be checked for one person under two
    names.
    """
    section = Section("groups")
    if not (data / "cohort").is_dir():
        section.value("cohort/", "missing: docs/model-card.en.md describes how to create it")
        return section
    members, templates = [], []
    for member in progress(datasets.cohort(data), "groups"):
        template = engine.embed(datasets.padded_png(member.path))
        if template.has_face:
            members.append(member)
            templates.append(template)
    rows = np.array([scoring.fused_vector(template) for template in templates])
    constants = np.array([template.constant for template in templates])

    def confidences(first: metrics.Numbers, second: metrics.Numbers) -> metrics.Floats:
        products = (rows[first] * rows[second]).sum(axis=1) + scoring.zero()
        return to_confidence(products - (constants[first] + constants[second]) / 2)

    pairs = look_alikes(members)
    section.value("faces", len(members))
    section.value("pairs of look-alike strangers", len(pairs))
    if data_digest(data) == tables.load("cohort").get("data"):
        section.value("note", "the cohort was fitted on these faces: the model card has held-out rates")
    columns = ("group", *(f"FAR at {at:.0f}, % (95 %)" for at in PUBLISHED), "faces", "pairs")
    reached = confidences(pairs.first, pairs.second)
    if suspects:
        write_suspects(suspects, pairs, reached)
    found = rates_by_group(pairs, np.array([reached >= at for at in PUBLISHED], float))
    section.table(
        "strangers accepted",
        columns,
        [(row["name"], *map(_percent, row["rates"]), row["faces"], row["pairs"]) for row in found],
    )
    same = same_person(members)
    accepted = confidences(same.first, same.second)
    section.table(
        "same person accepted",
        ("group", *(f"at {at:.0f}" for at in PUBLISHED), "pairs"),
        [
            (name, *((accepted[chosen] >= at).mean() for at in PUBLISHED), int(chosen.sum()))
            for _, name, chosen in groups_of(same)
        ],
    )
    return section


def write_suspects(path: Path, pairs: Pairs, confidences: metrics.Floats) -> None:
    """Write the most similar pairs of strangers, in the format of same_person.csv."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path1", "path2", "confidence"))
        for number in np.argsort(-confidences)[:SUSPECTS]:
            members = (pairs.members[pairs.first[number]], pairs.members[pairs.second[number]])
            names = (str(Path(*member.path.parts[-2:])) for member in members)
            rows.writerow((*names, f"{confidences[number]:.3f}"))


def _percent(rate: tuple[float, float, float]) -> str:
    return f"{rate[0] * 100:.2f} ({rate[1] * 100:.2f}-{rate[2] * 100:.2f})"


def hostile(data: Path, engine: Engine) -> Section:
    """Count the outcomes for broken and unusual files; any undocumented outcome is a failure."""
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
