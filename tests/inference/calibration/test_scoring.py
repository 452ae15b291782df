"""The published scale of face_compare."""

import json
import math
from itertools import pairwise
from operator import mul

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.calibration import scoring, tables
from inference.calibration.tables import PiecewiseLinear
from inference.errors import IncompleteResultError
from inference.results import Quality, Template

GOOD = Quality(1.0, ())


def template(angle: float, size: int = 128, constant: float = 2.0) -> Template:
    """Return a template with both embeddings rotated by `angle` in their first plane."""
    vector = (math.cos(angle), math.sin(angle), *([0.0] * (size - 2)))
    return Template(vector, vector, constant, GOOD)


def test_a_face_compared_with_itself_is_exactly_100() -> None:
    assert scoring.compare(template(0.3), template(0.3)) == scoring.Score(100.0, True)


def test_a_picture_without_a_face_is_0_and_not_the_same() -> None:
    nobody = Template((), (), 0.0, Quality(0.0, ("no_face",)))
    assert scoring.compare(nobody, template(0)) == scoring.Score(0.0, False)
    assert scoring.compare(template(0), nobody) == scoring.Score(0.0, False)


@given(st.floats(0, math.pi), st.floats(0, math.pi))
def test_scores_are_monotonic_and_symmetric(first: float, second: float) -> None:
    near, far = sorted((first, second))
    score = scoring.compare(template(0), template(near))
    assert score.confidence >= scoring.compare(template(0), template(far)).confidence
    assert score == scoring.compare(template(near), template(0))
    assert 0 <= score.confidence <= 100
    assert score.confidence == round(score.confidence, 3)


def test_faces_are_the_same_from_70_up_unless_set_otherwise() -> None:
    angles = [angle / 200 for angle in range(400)]
    scores = [scoring.compare(template(0), template(angle)) for angle in angles]
    assert all(score.same == (score.confidence >= 70) for score in scores)
    assert {score.same for score in scores} == {True, False}
    strict = scoring.compare(template(0), template(0), same_from=100.0)
    assert strict.same


def test_the_published_map_rises_to_100_through_60_70_and_80() -> None:
    ys = scoring.confidence_map().ys
    assert (ys[0], ys[-1]) == (0.0, 100.0)
    assert {60.0, 70.0, 80.0} <= set(ys)
    assert all(a <= b for a, b in pairwise(ys))
    assert scoring.table_version()


def test_the_map_and_the_function_agree_at_every_tenth() -> None:
    """Both use the calibration file, which the test reads independently."""
    rows = json.loads((tables.DIRECTORY / "confidence.json").read_text())["points"]
    similarities, confidences = ([row[column] for row in rows] for column in (0, 1))
    rated = [(row[0], math.log10(row[2])) for row in rows if row[2] is not None]
    for tenth in range(1001):
        confidence = tenth / 10
        similarity = float(np.interp(confidence, confidences, similarities))
        assert scoring.confidence_map()(similarity) == pytest.approx(confidence, abs=1e-9)
        rate = 10 ** np.interp(similarity, *zip(*rated, strict=True))
        assert scoring.false_accept_rate(confidence) == pytest.approx(rate, rel=1e-6)


def test_each_ten_points_are_ten_times_rarer_as_far_as_was_measured() -> None:
    rates = [scoring.false_accept_rate(confidence) for confidence in (50, 60, 70, 80)]
    assert rates == pytest.approx([1e-2, 1e-3, 1e-4, 1e-5])
    assert scoring.measured_to() == 80
    for confidence in (80.1, 90, 100):
        assert scoring.false_accept_rate(confidence) == pytest.approx(1e-5)


def test_faces_similar_to_the_cohort_score_lower() -> None:
    common = scoring.compare(template(0, constant=4.0), template(0.8, constant=4.0))
    rare = scoring.compare(template(0, constant=1.0), template(0.8, constant=1.0))
    assert common.confidence < rare.confidence
    assert scoring.compare(template(0, constant=4.0), template(0, constant=4.0)).confidence == 100.0


@given(st.lists(st.tuples(st.floats(0, math.pi), st.floats(-2, 5)), min_size=2, max_size=8))
def test_inner_products_order_a_gallery_as_the_similarity_does(faces: list[tuple[float, float]]) -> None:
    probe, *gallery = [template(angle, constant=constant) for angle, constant in faces]
    searched = scoring.probe_vector(probe)
    for entry in gallery:
        product = sum(map(mul, scoring.gallery_vector(entry), searched))
        assert scoring.similarity_of(product, probe) == pytest.approx(scoring.similarity(probe, entry))


def test_embeddings_of_different_sizes_are_5002() -> None:
    with pytest.raises(IncompleteResultError) as caught:
        scoring.compare(template(0), template(0, size=64))
    assert caught.value.code == 5002


def test_the_quality_of_a_pair_is_that_of_its_worse_picture() -> None:
    dark, blurred = Quality(0.2, ("too_dark",)), Quality(0.4, ("blurred", "too_dark"))
    assert scoring.pair_quality(dark, blurred) == Quality(0.2, ("too_dark", "blurred"))
    assert scoring.pair_quality(GOOD, GOOD).pic_quality == 0


def test_a_template_is_serializable_and_its_repr_has_no_numbers() -> None:
    sent = template(0.5)
    assert Template.from_dict(sent.to_dict()) == sent
    assert "0." not in repr(sent).replace("score=1.0", "")


@pytest.mark.parametrize("points", [[(0, 0), (0, 1)], [(0, 1), (1, 0)]])
def test_a_non_monotonic_map_is_rejected(points: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="values of the points must"):
        PiecewiseLinear.from_points(points)
