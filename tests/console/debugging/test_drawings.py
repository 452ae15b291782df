"""What the debugger draws on a picture: numbers and texts inside its edges."""

import itertools

import cv2
import numpy as np
import pytest

from console.debugging.debugger import Picture
from console.debugging.drawings import Drawing, Mark, mark_of

PNG = cv2.imencode(".png", np.zeros((400, 600, 3), np.uint8))[1].tobytes()
LINES = ["女 · 30 岁", "左 10 · 上 20 · 60×60 像素"]


def drawing(*corners: tuple[int, int]) -> Drawing:
    """Return a picture of 600 x 400 px with faces of 60 x 60 px at these corners (left, top)."""
    marks = [Mark(left, top, 60, 60, [], LINES) for left, top in corners]
    return Drawing(Picture("group.png", data=PNG), marks)


def test_faces_are_numbered_in_the_order_of_the_reply() -> None:
    assert [plate.number for plate in drawing((10, 100), (300, 100), (10, 300)).plates()] == [1, 2, 3]


def test_texts_stay_inside_the_picture() -> None:
    corners = itertools.product(range(0, 541, 60), range(0, 341, 34))
    for plate in drawing(*corners).plates():
        assert plate.left >= 0
        assert plate.left + plate.width <= 600
        assert plate.top >= 0
        assert plate.top + plate.height <= 400


@pytest.mark.parametrize("at", [(10, 100), (540, 0), (0, 340)])
def test_a_number_does_not_hide_its_face(at: tuple[int, int]) -> None:
    """It takes at most a quarter of the box's height and half of its width, even with two digits."""
    plate = drawing(*[at] * 12).plates()[-1]
    assert plate.number_height <= 60 * 0.3
    assert plate.number_width <= 60 * 0.5


def test_each_api_has_its_texts() -> None:
    place = {"location": {"left": 1, "top": 2, "width": 30, "height": 40}}
    assert mark_of({**place, "age": 30, "gender": "F"}).lines == [
        "女 · 30 岁",
        "左 1 · 上 2 · 30×40 像素",
    ]
    assert mark_of({**place, "face_probability": 0.998}).lines[0] == "人脸概率 99.8%"
    assert mark_of({**place, "person_list": []}).lines[0] == "无匹配"
    found = [{"person_id": "1001", "confidence": 91.2}, {"person_id": "1002", "confidence": 75}]
    assert mark_of({**place, "person_list": found}).lines[:2] == ["1001 91.2", "1002 75.0"]
