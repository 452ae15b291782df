"""The published scale of face_compare."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference import scoring
from inference.errors import IncompleteResultError
from inference.results import Quality, Template
from inference.tables import MonotoneMap

GOOD = Quality(1.0, ())


def template(angle: float, size: int = 128) -> Template:
    """Both embeddings turned by `angle` in their first plane."""
    vector = (math.cos(angle), math.sin(angle), *([0.0] * (size - 2)))
    return Template(vector, vector, GOOD)


def test_a_face_with_itself_is_exactly_100() -> None:
    assert scoring.compare(template(0.3), template(0.3)) == scoring.Score(100.0, True)


def test_without_a_face_it_is_0_and_not_the_same() -> None:
    nobody = Template((), (), Quality(0.0, ("no_face",)))
    assert scoring.compare(nobody, template(0)) == scoring.Score(0.0, False)
    assert scoring.compare(template(0), nobody) == scoring.Score(0.0, False)


@given(st.floats(0, math.pi), st.floats(0, math.pi))
def test_closer_faces_never_score_lower_and_order_does_not_matter(first: float, second: float) -> None:
    near, far = sorted((first, second))
    score = scoring.compare(template(0), template(near))
    assert score.confidence >= scoring.compare(template(0), template(far)).confidence
    assert score == scoring.compare(template(near), template(0))
    assert 0 <= score.confidence <= 100
    assert score.confidence == round(score.confidence, 3)


def test_true_from_70_up_unless_set_otherwise() -> None:
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


def test_each_ten_points_are_ten_times_rarer_among_strangers() -> None:
    rates = [scoring.false_accept_rate(confidence) for confidence in (50, 60, 70, 80, 90)]
    assert rates == pytest.approx([1e-2, 1e-3, 1e-4, 1e-5, 1e-6])


def test_embeddings_that_do_not_match_are_5002() -> None:
    with pytest.raises(IncompleteResultError) as caught:
        scoring.compare(template(0), template(0, size=64))
    assert caught.value.code == 5002


def test_a_pair_is_as_good_as_its_worse_picture() -> None:
    dark, blurred = Quality(0.2, ("too_dark",)), Quality(0.4, ("blurred", "too_dark"))
    assert scoring.pair_quality(dark, blurred) == Quality(0.2, ("too_dark", "blurred"))
    assert scoring.pair_quality(GOOD, GOOD).pic_quality == 0


def test_a_template_travels_as_plain_data_and_does_not_print_its_numbers() -> None:
    sent = template(0.5)
    assert Template.from_dict(sent.to_dict()) == sent
    assert "0." not in repr(sent).replace("score=1.0", "")


@pytest.mark.parametrize("points", [[(0, 0), (0, 1)], [(0, 1), (1, 0)]])
def test_a_map_that_does_not_rise_is_refused(points: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="points of a map"):
        MonotoneMap.from_points(points)
