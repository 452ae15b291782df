"""Age and gender: one result per face, in order, for any number of faces."""

import numpy as np

from inference.images.decoding import Picture
from inference.pipeline import attributes
from inference.pipeline.attributes import AttributeChips
from inference.pipeline.engine import MAX_EMBEDDED, Engine
from tests.inference.conftest import Encode


def test_the_largest_faces_of_a_crowd_are_embedded_with_the_results_of_single_faces(
    engine: Engine, close_up: np.ndarray, encode: Encode
) -> None:
    crowd = encode(np.tile(close_up, (6, 6, 1)), ".png")
    shown = engine.prepare_analysis(crowd)
    assert len(shown.faces) == 36
    assert len(shown.waiting) == MAX_EMBEDDED
    assert len(shown.crowd) == 36 - MAX_EMBEDDED
    alone = [next(engine.attributes.estimate([chips])) for chips in shown.waiting]
    answers = [face.attributes for face in engine.analyse(crowd).faces]
    assert answers == [*alone, *shown.crowd]
    assert {answer.gender for answer in answers if answer} == {"F"}
    assert all(answer and 0 <= answer.age <= attributes.OLDEST for answer in answers)


def test_the_heads_fit_the_features(engine: Engine, astronaut: bytes) -> None:
    picture = Picture(astronaut)
    face = engine.align(picture, engine.detector.find(picture), 0)
    chips = [
        AttributeChips.from_face(face),
        AttributeChips.from_face(face, embedded=False),
        AttributeChips.from_face(face),
    ]
    age, gender = engine.attributes.features(chips)
    assert age.shape == (3, len(attributes.head("age").weights))
    assert gender.shape == (3, len(attributes.head("gender").weights))
    assert np.allclose(age[0], age[2], atol=1e-3)
    average = attributes.mean_embeddings(1)
    assert np.array_equal(
        gender[1, 1:], np.concatenate([average.primary[0], average.secondary[0], average.planes[0]])
    )
    assert np.array_equal(age[1, -len(average.planes[0]) :], average.planes[0])
    assert not np.allclose(gender[0, 1:], gender[1, 1:], atol=1e-2)
