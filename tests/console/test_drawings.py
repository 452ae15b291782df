"""What the debugger draws on a picture: labels that hide nobody."""

import itertools

import cv2
import numpy as np
import pytest

from console.debugger import Drawing, Mark, Picture, overlaps

PNG = cv2.imencode(".png", np.zeros((400, 600, 3), np.uint8))[1].tobytes()


def drawing(*corners: tuple[int, int]) -> Drawing:
    """Return a picture of 600 x 400 px with faces of 60 x 60 px at these corners (left, top)."""
    marks = [Mark(left, top, 60, 60, [], f"女 · {30 + at} 岁") for at, (left, top) in enumerate(corners)]
    return Drawing(Picture("group.png", data=PNG), marks)


def test_a_face_by_itself_carries_its_text() -> None:
    apart = drawing((10, 100), (300, 100), (10, 300))
    assert not apart.is_numbered
    assert [label.text for label in apart.labels()] == ["女 · 30 岁", "女 · 31 岁", "女 · 32 岁"]


@pytest.mark.parametrize("second", [(70, 100), (40, 30), (20, 180)], ids=["beside", "above", "below"])
def test_faces_close_together_are_numbered(second: tuple[int, int]) -> None:
    close = drawing((10, 100), second)
    assert close.is_numbered
    assert [label.text for label in close.labels()] == ["1", "2"]


def test_labels_do_not_cover_other_faces() -> None:
    crowd = drawing(*itertools.product(range(10, 540, 62), range(20, 330, 62)))
    for label in crowd.labels():
        for mark in crowd.marks:
            if mark is not label.mark:
                assert not overlaps(label.box, (mark.left, mark.top, mark.width, mark.height))
