"""Age and gender: one answer a face, in order, whatever the size of the crowd."""

import numpy as np

from inference import attributes
from inference.alignment import Aligned
from inference.decoding import Picture
from inference.engine import Engine


def test_a_crowd_is_answered_face_by_face_and_its_largest_as_if_alone(
    engine: Engine, astronaut: bytes
) -> None:
    picture = Picture(astronaut)
    face = engine.align(picture, engine.finder.find(picture), 0)
    mirrored = Aligned(
        np.ascontiguousarray(face.pixels[:, ::-1]),
        (np.array([face.pixels.shape[1], 0]) + face.points * [-1, 1])[[1, 0, 2, 4, 3]],
    )
    alone = engine.attributes.estimate([face]) + engine.attributes.estimate([mirrored])
    crowd = engine.attributes.estimate([face, mirrored] * attributes.MAX_EMBEDDED)
    assert len(crowd) == 2 * attributes.MAX_EMBEDDED
    assert crowd[: attributes.MAX_EMBEDDED] == alone * (attributes.MAX_EMBEDDED // 2)
    assert all(0 <= answer.age <= attributes.OLDEST for answer in crowd)
    assert {answer.gender for answer in crowd[attributes.MAX_EMBEDDED :]} == {"F"}


def test_the_heads_fit_the_features(engine: Engine, astronaut: bytes) -> None:
    picture = Picture(astronaut)
    face = engine.align(picture, engine.finder.find(picture), 0)
    age, gender = engine.attributes.features([face, face])
    assert age.shape == (2, len(attributes.head("age").weights))
    assert gender.shape == (2, len(attributes.head("gender").weights))
    assert np.allclose(age[0], age[1], atol=1e-3)
    for vectors in attributes.average_embeddings(3):
        assert vectors.shape == (3, 128)
