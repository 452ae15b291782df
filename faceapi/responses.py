"""Build the answers (manual 4.2.2): pure functions from a worker's results to JSON values.

With `with_quality`, each entry also has the quality of its picture, with the reasons.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from gallery.enrolment import Enrolled
from gallery.search import Match, false_match_rate, likely_best
from inference.calibration import scoring
from inference.errors import IncompleteResultError
from inference.results import IdentifyResult, Quality, Template

Json = dict[str, Any]


def detect(results: Sequence[Json], *, with_quality: bool = False) -> list[Json]:
    """Return the entries of 人脸检测定位, one per picture."""
    return [
        {
            "face_list": [
                {
                    "location": face["box"],
                    "face_probability": face["probability"],
                    "landmark": face["landmarks"],
                }
                for face in result["faces"]
            ],
            **_judged(Quality.from_dict(result["quality"]), with_quality),
        }
        for result in results
    ]


def analyse(results: Sequence[Json], *, with_quality: bool = False) -> list[Json]:
    """Return the entries of 人脸属性识别, one per picture."""
    return [
        {
            "face_list": [_analysed(face) for face in result["faces"]],
            **_judged(Quality.from_dict(result["quality"]), with_quality),
        }
        for result in results
    ]


def _analysed(face: Json) -> Json:
    if face["attributes"] is None:
        raise IncompleteResultError("a face without attributes")
    return {**face["attributes"], "location": face["box"]}


def compare(
    sides: Sequence[Sequence[Template]], *, same_from: float = scoring.SAME_FROM, with_quality: bool = False
) -> list[Json]:
    """Return the entries of 人脸比对, one for each pair.

    `sides` are both sides of each pair, in order. A side with several templates is a stored person, whose
    best match counts.
    """
    return [
        _compared(first, second, same_from, with_quality)
        for first, second in zip(sides[::2], sides[1::2], strict=True)
    ]


def _compared(
    firsts: Sequence[Template], seconds: Sequence[Template], same_from: float, with_quality: bool
) -> Json:
    pairs = likely_best(firsts, seconds)
    scores = [(scoring.compare(a, b, same_from=same_from), a, b) for a, b in pairs]
    score, first, second = max(scores, key=lambda scored: scored[0].confidence)
    return {
        "face_compare": "true" if score.same else "false",
        "confidence": score.confidence,
        **_judged(scoring.pair_quality(first.quality, second.quality), with_quality),
    }


def search(
    results: Sequence[IdentifyResult],
    found: Sequence[Sequence[Sequence[Match]]],
    *,
    faces: int,
    with_quality: bool = False,
) -> list[Json]:
    """Return the entries of 人脸搜索, one per picture, with their matches among `faces` stored faces."""
    return [
        {
            "face_list": [
                {"location": asdict(box), "person_list": [_matched(match, faces) for match in matches]}
                for box, matches in zip(result.boxes, of_faces, strict=True)
            ],
            **_judged(result.quality, with_quality),
        }
        for result, of_faces in zip(results, found, strict=True)
    ]


def _matched(match: Match, faces: int) -> Json:
    return {
        "group_id": match.group_id,
        "person_id": match.person_id,
        "face_id": match.face_id.hex,
        "confidence": match.confidence,
        "false_match_rate": float(f"{false_match_rate(match.confidence, faces):.3g}"),
    }


def enrolled(results: Sequence[IdentifyResult], faces: Sequence[Enrolled]) -> list[Json]:
    """Return the entries of face_person_add, one per face."""
    return [
        {
            "group_id": one.entry.group_id,
            "person_id": one.entry.person_id,
            "face_id": one.face_id.hex,
            "location": asdict(result.boxes[0]),
            "quality": quality(result.quality),
        }
        for result, one in zip(results, faces, strict=True)
    ]


def quality(judged: Quality) -> Json:
    """Return the `quality` of an entry: the score, and the reasons if it is low."""
    return {"score": judged.score, "reasons": list(judged.reasons)}


def _judged(verdict: Quality, with_quality: bool) -> Json:
    judged: Json = {"pic_quality": verdict.pic_quality}
    if with_quality:
        judged["quality"] = quality(verdict)
    return judged


def as_json(value: object) -> bytes:
    """Return the bytes of a reply."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
