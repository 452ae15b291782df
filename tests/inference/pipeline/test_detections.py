"""Non-maximum suppression, and the mapping of coordinates back to the picture."""

import numpy as np
import pytest

from inference.pipeline.detections import Detections, fast_nms, iou, nms, pixel_boxes


def detections(*boxes: tuple[float, float, float, float, float]) -> Detections:
    """Return detections of (left, top, right, bottom, score), with points at the corners and the middle."""
    table = np.array(boxes, np.float32).reshape(-1, 5)
    left, top, right, bottom = table[:, :4].T
    middle = ((left + right) / 2, (top + bottom) / 2)
    points = [(left, top), (right, top), middle, (left, bottom), (right, bottom)]
    return Detections(table[:, :4], np.stack([np.stack(p, axis=1) for p in points], axis=1), table[:, 4])


def test_nms_keeps_the_best_of_overlapping_boxes_and_their_neighbours() -> None:
    found = detections((0, 0, 10, 10, 0.8), (1, 0, 11, 10, 0.9), (30, 0, 40, 10, 0.5))
    assert nms(found).scores.tolist() == pytest.approx([0.9, 0.5])


def test_nms_drops_fragments_but_keeps_much_smaller_faces_inside() -> None:
    whole, fragment, small = (0, 0, 100, 100, 0.9), (10, 10, 60, 60, 0.8), (20, 20, 40, 40, 0.7)
    assert len(nms(detections(whole, fragment))) == 1
    assert len(nms(detections(whole, small))) == 2
    assert len(nms(Detections.none())) == 0


def test_thinning_keeps_the_best_of_each_cluster() -> None:
    found = detections((0, 0, 10, 10, 0.8), (1, 0, 11, 10, 0.9), (30, 0, 40, 10, 0.05))
    assert fast_nms(found).scores.tolist() == pytest.approx([0.9, 0.05])
    assert len(fast_nms(Detections.none())) == 0


def test_overlap_is_intersection_over_union() -> None:
    boxes = detections((0, 0, 10, 10, 1), (5, 0, 15, 10, 1), (20, 20, 30, 30, 1)).boxes
    assert iou(boxes[0], boxes).tolist() == pytest.approx([1, 1 / 3, 0])


def test_mirroring_twice_changes_nothing_and_once_swaps_left_and_right() -> None:
    found = detections((10, 5, 30, 45, 1))
    once = found.mirrored(100)
    assert once.boxes[0].tolist() == [70, 5, 90, 45]
    assert once.points[0, 0].tolist() == [70, 5]
    twice = once.mirrored(100)
    assert np.array_equal(twice.boxes, found.boxes)
    assert np.array_equal(twice.points, found.points)


def test_mapping_scales_then_shifts() -> None:
    moved = detections((1, 2, 3, 4, 1)).mapped((10, 100), (7, 8))
    assert moved.boxes[0].tolist() == [17, 208, 37, 408]
    assert moved.points[0, 2].tolist() == [27, 308]


def test_rounded_boxes_are_inside_the_picture_and_never_empty() -> None:
    boxes = np.array([[-5, -5, 3.4, 3.6], [99.9, 49.9, 120, 80], [-20, -20, -10, -10], [10, 10, 10, 10]])
    whole = pixel_boxes(boxes.astype(np.float32), 100, 50)
    assert whole[0].tolist() == [0, 0, 3, 4]
    assert (whole[:, :2] >= 0).all()
    assert (whole[:, 2:] > whole[:, :2]).all()
    assert (whole[:, 2:] <= [100, 50]).all()
