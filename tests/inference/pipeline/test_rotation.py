"""Faces rotated in the plane are detected, aligned and compared at any angle."""

import cv2
import numpy as np
import pytest

from bench.engine.rotation import turned
from inference.calibration.scoring import compare
from inference.pipeline import face_detector
from inference.pipeline.detections import Detections
from inference.pipeline.engine import Engine
from inference.pipeline.rotation import RotationResolver, angle_from, roll, undo_quarter_turns
from inference.results import Face
from tests.inference.conftest import Encode

UPRIGHT = np.array([[-1, -1], [1, -1], [0, 0], [-0.8, 1], [0.8, 1]], float)


def turned_points(degrees: float) -> np.ndarray:
    """Return UPRIGHT, rotated clockwise on the screen."""
    angle = np.deg2rad(degrees)
    return UPRIGHT @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def marks(face: Face) -> np.ndarray:
    points = face.landmarks
    return np.array(
        [
            [point.x, point.y]
            for point in (
                points.left_eye,
                points.right_eye,
                points.nose,
                points.mouth_left,
                points.mouth_right,
            )
        ],
        float,
    )


@pytest.mark.parametrize("degrees", range(-175, 180, 25))
def test_the_rotation_is_estimated_from_landmarks(degrees: int) -> None:
    assert angle_from(roll(turned_points(degrees) * 30 + 200), degrees) == pytest.approx(0)


def test_the_difference_of_two_angles_is_at_most_180_degrees() -> None:
    assert angle_from(170, -170) == -20
    assert angle_from(-170, 170) == 20
    assert angle_from(30, 10) == 20


@pytest.mark.parametrize("count", range(4))
def test_points_of_a_quarter_turn_are_mapped_back(count: int) -> None:
    picture = np.zeros((40, 60), np.uint8)
    picture[7, 50] = 1
    ((row, column),) = np.argwhere(np.rot90(picture, count))
    box = np.array([[column, row, column + 1, row + 1]], np.float32)
    points = np.tile(np.array([column + 0.5, row + 0.5], np.float32), (1, 5, 1))
    found = undo_quarter_turns(Detections(box, points, np.ones(1, np.float32)), count, 60, 40)
    assert found.boxes.tolist() == [[50, 7, 51, 8]]
    assert (found.points == [50.5, 7.5]).all()


@pytest.mark.parametrize("degrees", [20, 35, 45, 60, 90, 120, 135, 180, 210, 225, 270, 300, 315, 340])
def test_a_rotated_face_is_found_aligned_and_recognised(
    engine: Engine, portrait: np.ndarray, encode: Encode, degrees: int
) -> None:
    scene = portrait[20:380, 60:420]
    upright = engine.detect(encode(scene)).faces[0]
    picture = turned(scene, degrees)
    result = engine.detect(encode(picture))
    (face,) = result.faces
    assert "rotated" not in result.quality.reasons
    # the points of the upright face, rotated with the picture
    angle = np.deg2rad(-degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    expected = (marks(upright) - 180) @ turn + np.array(picture.shape[1::-1]) / 2
    assert np.abs(marks(face) - expected).max() < 0.15 * upright.box.height
    centre = np.array([face.box.left + face.box.width / 2, face.box.top + face.box.height / 2])
    assert np.linalg.norm(centre - expected.mean(axis=0)) < 0.25 * upright.box.height
    assert face.box.area_px < 1.6 * upright.box.area_px
    template = engine.embed(encode(picture))
    assert compare(engine.embed(encode(scene)), template).same
    assert template.quality.passed


def test_the_faces_of_a_picture_on_its_side_are_found_as_if_upright(
    engine: Engine, portrait: np.ndarray, encode: Encode
) -> None:
    frame = np.full((700, 1000, 3), 128, np.uint8)
    face = cv2.resize(portrait[20:220, 130:330], (110, 110), interpolation=cv2.INTER_AREA)
    for k in range(6):
        left, top = 60 + (k % 3) * 320, 80 + (k // 3) * 330
        frame[top : top + 110, left : left + 110] = face
    upright = engine.detect(encode(frame))
    for count in (1, 2, 3):
        result = engine.detect(encode(np.ascontiguousarray(np.rot90(frame, count))))
        assert len(result.faces) == len(upright.faces) == 6
        assert all(abs(angle_from(roll(marks(face)), -90 * count)) < 30 for face in result.faces)


def test_rotated_passes_find_no_false_faces(engine: Engine, encode: Encode) -> None:
    random = np.random.default_rng(0)
    for side in (64, 300, 900):
        noise = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
        for picture in (noise, cv2.GaussianBlur(noise, (0, 0), 3), np.full_like(noise, 200)):
            assert engine.detect(encode(picture)).faces == ()


def test_an_upright_face_takes_one_pass(
    engine: Engine, astronaut: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_look(*_: object) -> None:
        raise AssertionError("a turned look at an upright face")

    monkeypatch.setattr(RotationResolver, "resolve", no_look)
    monkeypatch.setattr(face_detector.FaceDetector, "_detect_sideways", no_look)
    assert len(engine.detect(astronaut).faces) == 1
