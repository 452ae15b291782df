"""The shapes of the answers (manual 4.2.2, product.md 4): pure functions from results to JSON values."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from inference import scoring
from inference.errors import IncompleteResultError
from inference.results import AnalyseResult, DetectResult, Face, Template

Json = dict[str, Any]


def detect(results: Sequence[Json]) -> list[Json]:
    """人脸检测定位: one entry a picture."""
    return [
        {
            "face_list": [
                {
                    "location": asdict(face.box),
                    "face_probability": face.probability,
                    "landmark": asdict(face.landmarks),
                }
                for face in result.faces
            ],
            "pic_quality": result.quality.pic_quality,
        }
        for result in map(DetectResult.from_dict, results)
    ]


def analyse(results: Sequence[Json]) -> list[Json]:
    """人脸属性识别: one entry a picture."""
    return [
        {
            "face_list": [_analysed(face) for face in result.faces],
            "pic_quality": result.quality.pic_quality,
        }
        for result in map(AnalyseResult.from_dict, results)
    ]


def _analysed(face: Face) -> Json:
    if face.attributes is None:
        raise IncompleteResultError("a face without attributes")
    return {
        "age": face.attributes.age,
        "gender": face.attributes.gender,
        "location": asdict(face.box),
    }


def compare(results: Sequence[Json]) -> list[Json]:
    """人脸比对: one entry a pair; `results` are the templates of both pictures of each pair, in order."""
    templates = [Template.from_dict(result) for result in results]
    return [_compared(first, second) for first, second in zip(templates[::2], templates[1::2], strict=True)]


def _compared(first: Template, second: Template) -> Json:
    score = scoring.compare(first, second)
    return {
        "face_compare": "true" if score.same else "false",
        "confidence": score.confidence,
        "pic_quality": scoring.pair_quality(first.quality, second.quality).pic_quality,
    }
