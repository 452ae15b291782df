"""图像质量检测: each degradation lowers the score step by step, and is named."""

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
import pytest

from inference.pipeline.engine import Engine
from inference.pipeline.quality import LIMITS, NO_FACE, Measures, frontality, judge
from inference.results import REASONS
from tests.inference.conftest import Encode

PURPOSES = ("detect", "analyse", "compare")
IDEAL = Measures(
    size_px=200, sharpness=30, brightness=120, contrast=60, frontality=1, uprightness=1, inside=1, dominance=1
)


def blurred(picture: np.ndarray, step: int) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), 1.5 * step)


def darker(picture: np.ndarray, step: int) -> np.ndarray:
    return cv2.convertScaleAbs(picture, alpha=1 - 0.19 * step)


def brighter(picture: np.ndarray, step: int) -> np.ndarray:
    return np.clip(picture.astype(int) + 40 * step, 0, 252).astype(np.uint8)


def flatter(picture: np.ndarray, step: int) -> np.ndarray:
    return cv2.convertScaleAbs(picture, alpha=1 - 0.17 * step, beta=120 * 0.17 * step)


def smaller(picture: np.ndarray, step: int) -> np.ndarray:
    return cv2.resize(picture, None, fx=0.7**step, fy=0.7**step, interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize(
    ("degrade", "reason"),
    [
        (blurred, "blurred"),
        (darker, "too_dark"),
        (brighter, "too_bright"),
        (flatter, "low_contrast"),
        (smaller, "face_too_small"),
    ],
)
def test_quality_falls_monotonically_with_each_degradation_which_is_named(
    engine: Engine, portrait: np.ndarray, encode: Encode, degrade: Callable[..., np.ndarray], reason: str
) -> None:
    qualities = [engine.embed(encode(portrait, ".png")).quality]
    qualities += [engine.embed(encode(degrade(portrait, step), ".png")).quality for step in range(1, 6)]
    scores = [quality.score for quality in qualities]
    assert qualities[0].pic_quality == 0
    assert all(after <= before + 0.02 for before, after in pairwise(scores)), scores
    assert qualities[-1].pic_quality == 1
    assert {reason, "no_face"} & set(qualities[-1].reasons)
    assert any(reason in quality.reasons for quality in qualities), [q.reasons for q in qualities]


def test_a_face_cut_by_the_edge_and_a_second_face_are_named(
    engine: Engine, portrait: np.ndarray, encode: Encode
) -> None:
    cut = engine.embed(encode(portrait[:, 226:]))
    assert "cut_off" in cut.quality.reasons
    twins = np.hstack([portrait[:, 100:350], portrait[:, 100:350]])
    assert "several_faces" in engine.embed(encode(twins)).quality.reasons
    assert engine.detect(encode(twins)).quality.pic_quality == 0
    assert engine.analyse(encode(twins)).quality.pic_quality == 0


def test_grades_are_half_at_the_limit_and_rise_towards_the_ideal() -> None:
    for _measure, purposes in LIMITS.values():
        for limit in purposes.values():
            assert limit.grade(limit.limit) == pytest.approx(0.5)
            steps = [limit.grade(value) for value in np.linspace(limit.worst, limit.ideal, 20)]
            assert steps == sorted(steps)
            assert (steps[0], steps[-1]) == (0.0, 1.0)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_an_ideal_picture_scores_1(purpose: str) -> None:
    quality = judge(IDEAL, purpose)
    assert (quality.score, quality.reasons, quality.pic_quality) == (1.0, (), 0)


def test_requirements_rise_from_detection_to_attributes_to_comparison() -> None:
    for _measure, purposes in LIMITS.values():
        chain = [purposes[purpose] for purpose in PURPOSES if purpose in purposes]
        for easier, harder in pairwise(chain):
            rising = easier.worst < easier.ideal
            assert harder.limit >= easier.limit if rising else harder.limit <= easier.limit


def test_frontality_is_1_from_the_front_and_0_in_profile() -> None:
    front = np.array([[-1, -1], [1, -1], [0, 0], [-1, 1], [1, 1]], float)
    turned = front.copy()
    turned[2] = [1.1, 0]
    assert frontality(front) == pytest.approx(1.0)
    assert frontality(turned) == 0.0
    angle = np.deg2rad(40)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert frontality(front @ rotation * 30 + 7) == pytest.approx(1.0)


def test_every_reason_is_published() -> None:
    assert (*NO_FACE.reasons, *LIMITS) == REASONS
