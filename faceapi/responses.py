"""The shapes of the answers (manual 4.2.2): pure functions from results of a worker to JSON values.

`with_quality`: each entry also says why its picture is good enough, or not.
"""

from collections.abc import Sequence
from typing import Any

from inference.calibration import scoring
from inference.errors import IncompleteResultError
from inference.results import Quality, Template

Json = dict[str, Any]


def detect(results: Sequence[Json], *, with_quality: bool = False) -> list[Json]:
    """人脸检测定位: one entry a picture."""
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
    """人脸属性识别: one entry a picture."""
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
    results: Sequence[Json], *, same_from: float = scoring.SAME_FROM, with_quality: bool = False
) -> list[Json]:
    """人脸比对: one entry a pair; `results` are the templates of both pictures of each pair, in order."""
    templates = [Template.from_dict(result) for result in results]
    return [
        _compared(first, second, same_from, with_quality)
        for first, second in zip(templates[::2], templates[1::2], strict=True)
    ]


def _compared(first: Template, second: Template, same_from: float, with_quality: bool) -> Json:
    score = scoring.compare(first, second, same_from=same_from)
    return {
        "face_compare": "true" if score.same else "false",
        "confidence": score.confidence,
        **_judged(scoring.pair_quality(first.quality, second.quality), with_quality),
    }


def _judged(quality: Quality, with_quality: bool) -> Json:
    judged: Json = {"pic_quality": quality.pic_quality}
    if with_quality:
        judged["quality"] = {"score": quality.score, "reasons": list(quality.reasons)}
    return judged
