"""The metrics of bin/bench."""

import numpy as np
import pytest

from bench import metrics


def test_threshold_accepts_no_more_than_the_rate() -> None:
    impostors = np.arange(1000.0)
    threshold = metrics.threshold_at(impostors, 0.01)
    assert metrics.accepted(impostors, threshold) == pytest.approx(0.01)
    assert metrics.accepted(np.full(50, 7.0), metrics.threshold_at(np.full(50, 7.0), 0.1)) == 0


def test_the_area_under_the_curve_counts_ties_half() -> None:
    assert metrics.area_under_curve(np.array([3.0, 4]), np.array([1.0, 2])) == 1.0
    assert metrics.area_under_curve(np.array([1.0, 2]), np.array([1.0, 2])) == 0.5


def test_folds_of_separable_scores_are_all_correct() -> None:
    scores = np.concatenate([np.linspace(0.6, 1, 60), np.linspace(0, 0.4, 60)])
    same = np.arange(120) < 60
    assert (metrics.fold_accuracies(scores, same) == 1).all()
    assert 0.4 < metrics.best_threshold(scores, same) < 0.6


def test_each_true_box_is_matched_once() -> None:
    truth = np.array([[0, 0, 10, 10], [20, 0, 30, 10]], float)
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]], float)
    partner, found = metrics.match(boxes, truth)
    assert partner.tolist() == [0, -1, -1]
    assert found.tolist() == [True, False]
    assert metrics.match(boxes, np.zeros((0, 4)))[0].tolist() == [-1, -1, -1]


def test_calibration_error_is_the_gap_between_prediction_and_outcome() -> None:
    assert metrics.calibration_error(np.full(10, 0.8), np.arange(10) < 8) == pytest.approx(0)
    assert metrics.calibration_error(np.full(10, 0.8), np.arange(10) < 5) == pytest.approx(0.3)


def test_strangers_are_all_pairs_of_different_people() -> None:
    person = np.array([0, 1, 0, 2, 1])
    vectors = np.eye(5) + 0.1 * np.arange(5)[:, None]
    expected = [vectors[i] @ vectors[j] for i in range(5) for j in range(i + 1, 5) if person[i] != person[j]]
    assert metrics.stranger_cosines(vectors, person) == pytest.approx(expected, rel=1e-6)
    assert metrics.stranger_pairs(person) == len(expected) == 8
    assert len(metrics.stranger_cosines(np.zeros((0, 3)), np.zeros(0, np.intp))) == 0
