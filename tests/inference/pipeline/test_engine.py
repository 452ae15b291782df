"""The three functions on a real face, in files of many kinds."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import cv2
import numpy as np
import pytest

from bench.engine.rotation import turned
from inference.calibration.scoring import compare
from inference.images.decoding import upright
from inference.pipeline.engine import Engine
from inference.results import Box, FacesResult, Template
from tests.inference import pictures
from tests.inference.conftest import Encode

FACE = Box(left=178, top=63, width=90, height=113)


def iou(one: Box, other: Box) -> float:
    width = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    height = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    shared = max(width, 0) * max(height, 0)
    return shared / (one.area_px + other.area_px - shared)


def assert_inside(result: FacesResult, width: int, height: int) -> None:
    """Assert that boxes are in the picture, landmarks in their boxes, and the largest face is first."""
    areas = [face.box.area_px for face in result.faces]
    assert areas == sorted(areas, reverse=True)
    for face in result.faces:
        box, marks = face.box, face.landmarks
        assert box.width >= 1
        assert box.height >= 1
        assert 0 <= box.left < box.left + box.width <= width
        assert 0 <= box.top < box.top + box.height <= height
        assert 0 <= face.probability <= 1
        for point in (marks.left_eye, marks.right_eye, marks.nose, marks.mouth_left, marks.mouth_right):
            assert box.left <= point.x < box.left + box.width
            assert box.top <= point.y < box.top + box.height


def test_detect_finds_the_face_and_its_landmarks(engine: Engine, astronaut: bytes) -> None:
    result = engine.detect(astronaut)
    assert_inside(result, 512, 512)
    (face,) = result.faces
    assert iou(face.box, FACE) > 0.8
    assert face.probability > 0.95
    assert face.attributes is None
    marks = face.landmarks
    assert marks.left_eye.x < marks.nose.x < marks.right_eye.x
    assert marks.left_eye.y < marks.nose.y < marks.mouth_left.y
    sent = json.loads(json.dumps(result.to_dict()))
    assert sent["faces"][0]["box"] == asdict(face.box)
    assert sent["faces"][0]["landmarks"] == asdict(marks)


def test_analyse_returns_age_and_gender(engine: Engine, astronaut: bytes) -> None:
    result = engine.analyse(astronaut)
    (face,) = result.faces
    assert face.attributes is not None
    assert face.attributes.gender == "F"
    assert 25 <= face.attributes.age <= 50
    sent = json.loads(json.dumps(result.to_dict()))
    assert sent["faces"][0]["attributes"] == asdict(face.attributes)


def test_a_picture_without_a_face_has_none_and_fails_quality(engine: Engine, encode: Encode) -> None:
    nothing = encode(np.full((200, 300, 3), 128, np.uint8))
    for result in (engine.detect(nothing), engine.analyse(nothing)):
        assert result.faces == ()
        assert result.quality.pic_quality == 1
        assert result.quality.reasons == ("no_face",)
    template = engine.embed(nothing)
    assert not template.has_face
    assert Template.from_dict(template.to_dict()) == template


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_gives_the_same_result(
    engine: Engine, portrait: np.ndarray, encode: Encode, orientation: int
) -> None:
    undo = {6: 8, 8: 6}.get(orientation, orientation)
    stored = encode(upright(portrait[:400, 60:400], undo), ".png")
    start = stored.index(b"IDAT") - 4
    exif = pictures.chunk(b"eXIf", pictures.tiff_orientation(orientation))
    result = engine.detect(stored[:start] + exif + stored[start:])
    assert result == engine.detect(encode(portrait[:400, 60:400], ".png"))


@pytest.mark.parametrize("side", [32, 48, 96, 300, 1200, 2500, 5000])
def test_a_face_that_fills_the_frame_is_found_at_every_size(
    engine: Engine, portrait: np.ndarray, encode: Encode, side: int
) -> None:
    face = portrait[55:185, 160:290]
    method = cv2.INTER_AREA if side < 130 else cv2.INTER_CUBIC
    result = engine.detect(encode(cv2.resize(face, (side, side), interpolation=method)))
    assert_inside(result, side, side)
    assert len(result.faces) == 1
    assert result.faces[0].box.height > 0.5 * side


@pytest.mark.parametrize("background", ["grey", "blurred noise", "pixel noise", "enlarged photograph"])
def test_ten_small_faces_in_a_12_mp_frame_are_all_found(
    engine: Engine, portrait: np.ndarray, close_up: np.ndarray, encode: Encode, background: str
) -> None:
    frame = np.full((3000, 4000, 3), 128, np.uint8)
    if background.endswith("noise"):
        frame = np.random.default_rng(0).integers(60, 200, frame.shape, dtype=np.uint8)
    if background == "blurred noise":
        frame = cv2.GaussianBlur(frame, (0, 0), 2)
    if background == "enlarged photograph":
        frame = cv2.resize(portrait[200:], (4000, 3000), interpolation=cv2.INTER_CUBIC)
    small = cv2.resize(close_up, None, fx=40 / 113, fy=40 / 113, interpolation=cv2.INTER_AREA)
    side = small.shape[0]
    corners = [(317 + 371 * k, 211 + (k * 1237) % 2600) for k in range(10)]
    for left, top in corners:
        frame[top : top + side, left : left + side] = small
    result = engine.detect(encode(frame, ".jpg", 90))
    assert_inside(result, 4000, 3000)
    for left, top in corners:
        there = Box(left + 12, top + 8, 32, 40)
        assert max((iou(face.box, there) for face in result.faces), default=0) > 0.4


def test_compare_scores_identity_100_and_no_face_0(
    engine: Engine, portrait: np.ndarray, astronaut: bytes, encode: Encode
) -> None:
    original = engine.embed(astronaut)
    assert compare(original, original).confidence == 100.0
    brighter = cv2.convertScaleAbs(portrait, alpha=0.8, beta=40)
    small = cv2.resize(portrait, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    for variant in (brighter, small, portrait[:, ::-1]):
        score = compare(original, engine.embed(encode(np.ascontiguousarray(variant))))
        assert 80 < score.confidence < 100
        assert score.same


def test_more_similar_pairs_rank_higher(
    engine: Engine, portrait: np.ndarray, astronaut: bytes, encode: Encode
) -> None:
    """Compare the sample portrait with increasingly degraded versions, and with other content."""
    height, width = portrait.shape[:2]
    tiny = cv2.resize(portrait, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    turned = cv2.warpAffine(
        portrait, cv2.getRotationMatrix2D((width / 2, height / 2), 20, 1), (width, height)
    )
    hidden = portrait.copy()
    hidden[63:110, 170:275] = 127  # eyes and forehead
    recompressed = cv2.imdecode(np.frombuffer(encode(portrait, ".jpg", 60), np.uint8), cv2.IMREAD_COLOR)
    variants = {
        "itself": portrait,
        "recompressed": recompressed,
        "turned": turned,
        "tiny": tiny,
        "hidden": hidden,
    }
    original = engine.embed(astronaut)
    confidences = {
        name: compare(original, engine.embed(encode(np.ascontiguousarray(pixels), ".png"))).confidence
        for name, pixels in variants.items()
    }
    assert list(confidences.values()) == sorted(confidences.values(), reverse=True)
    assert confidences["itself"] == 100.0
    assert confidences["tiny"] > 70 > confidences["hidden"]


def test_the_cohort_constant_does_not_depend_on_the_batch(
    engine: Engine, portrait: np.ndarray, astronaut: bytes, encode: Encode
) -> None:
    files = [astronaut, encode(portrait[20:300, 100:380]), encode(portrait[:, ::-1].copy())]
    together = list(engine.finish_embeddings([engine.prepare_embedding(data) for data in files]))
    assert together == [engine.embed(data) for data in files]
    assert len({template.constant for template in together}) == 3


def test_compare_uses_the_largest_face(engine: Engine, portrait: np.ndarray, encode: Encode) -> None:
    frame = np.full((600, 900, 3), 90, np.uint8)
    frame[:512, :512] = portrait
    distractor = cv2.resize(portrait[40:200, 145:305], (90, 90), interpolation=cv2.INTER_AREA)
    frame[450:540, 700:790] = distractor[:, ::-1]
    assert len(engine.detect(encode(frame)).faces) == 2
    score = compare(engine.embed(encode(frame)), engine.embed(encode(portrait)))
    assert score.confidence > 90


def test_two_threads_give_exactly_the_results_of_one(
    engine: Engine, portrait: np.ndarray, astronaut: bytes, encode: Encode
) -> None:
    files = [astronaut, encode(portrait[:, ::-1].copy()), encode(portrait[20:300, 100:380])] * 6
    for work in (engine.detect, engine.analyse, engine.embed):
        alone = [work(data) for data in files[:3]] * 6
        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(work, files)) == alone


@pytest.mark.parametrize(("scale", "expected"), [(1.15, "centre"), (1.6, "corner")])
def test_of_similar_faces_the_central_one_is_compared_at_every_angle(
    engine: Engine, portrait: np.ndarray, encode: Encode, scale: float, expected: str
) -> None:
    face = portrait[30:210, 135:315]
    frame = np.full((900, 900, 3), 90, np.uint8)
    side = round(180 * scale)
    frame[360:540, 360:540] = face
    frame[20 : 20 + side, 20 : 20 + side] = cv2.resize(face[:, ::-1], (side, side))
    compared = []
    for degrees in range(0, 360, 30):
        picture = turned(frame, degrees)
        (box,) = engine.prepare_largest(encode(picture)).boxes
        height, width = picture.shape[:2]
        off = np.hypot(box.left + box.width / 2 - width / 2, box.top + box.height / 2 - height / 2)
        compared.append("centre" if off < 100 else "corner")
    # At 3 of 132 angles in 11 frames, different ones in each, a box is a third too small.
    assert compared.count(expected) >= 10, compared
