"""A chunk of pictures: its faces share the networks' batches, which does not change the results."""

import cv2
import numpy as np
import pytest

from inference import errors
from inference.pipeline.attributes import BATCH_FACES
from inference.pipeline.engine import Engine
from inference.worker import tasks
from inference.worker.exchange import Failure
from tests.inference.conftest import Encode


@pytest.fixture(scope="module")
def chunk(astronaut: bytes, portrait: np.ndarray, encode: Encode) -> list[bytes]:
    """Return four pictures with one face, none, three and one."""
    nothing = encode(np.full((200, 300, 3), 127, np.uint8))
    small = cv2.resize(portrait, (256, 256), interpolation=cv2.INTER_AREA)
    three = encode(np.hstack([portrait, portrait[:, ::-1], np.vstack([small, small * 0])]))
    return [astronaut, nothing, three, encode(portrait[:, ::-1].copy())]


class Batches:
    """Record how many faces SFace gets at once. The embedding of the face `spoiled` is set to zero."""

    def __init__(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.spoiled: int | None = None
        sface, real = engine.embedder._sface, engine.embedder._sface.run

        def listening(faces: list[np.ndarray]) -> list[np.ndarray]:
            outputs = [output.copy() for output in real(faces)]
            row = -1 if self.spoiled is None else self.spoiled - sum(self.sizes)
            if 0 <= row < len(faces):
                outputs[0][row] = 0
            self.sizes.append(len(faces))
            return outputs

        monkeypatch.setattr(sface, "run", listening)

    def spoil(self, face: int) -> None:
        """Set the embedding of the face with this number, counted from now, to zero."""
        self.sizes.clear()
        self.spoiled = face


@pytest.fixture
def batches(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Batches:
    return Batches(engine, monkeypatch)


@pytest.mark.parametrize("name", ["detect", "analyse", "embed"])
def test_the_answers_are_those_of_each_picture_alone(engine: Engine, chunk: list[bytes], name: str) -> None:
    work = getattr(engine, name)
    alone = [work(data).to_dict() for data in chunk]
    assert tasks.run(tasks.OPERATIONS[name], engine, list(chunk)) == (alone, None)
    assert tasks.run(tasks.OPERATIONS[name], engine, chunk[::-1]) == (alone[::-1], None)


def test_the_faces_of_several_pictures_go_through_the_networks_together(
    engine: Engine, chunk: list[bytes], batches: Batches
) -> None:
    """Five faces in four pictures."""
    results, _ = tasks.run(tasks.OPERATIONS["analyse"], engine, list(chunk))
    assert [len(result["faces"]) for result in results] == [1, 0, 3, 1]
    assert batches.sizes == [BATCH_FACES, 1]


def test_the_pictures_of_a_comparison_are_embedded_together(
    engine: Engine, chunk: list[bytes], batches: Batches
) -> None:
    tasks.run(tasks.OPERATIONS["embed"], engine, list(chunk))
    assert batches.sizes == [3]


def test_the_watchdog_gets_the_current_picture(engine: Engine, chunk: list[bytes]) -> None:
    """It gets None while the networks run, because any of the pictures may be at fault there."""
    told: list[int | None] = []
    tasks.run(tasks.OPERATIONS["embed"], engine, [*chunk[:2], b"no picture", *chunk[2:]], told.append)
    assert told == [0, 1, 2, None]


@pytest.mark.parametrize("name", ["detect", "analyse", "embed"])
def test_a_picture_at_fault_leaves_the_answers_before_it(
    engine: Engine, chunk: list[bytes], name: str
) -> None:
    results, failure = tasks.run(tasks.OPERATIONS[name], engine, [*chunk[:2], b"no picture", *chunk[2:]])
    alone = [getattr(engine, name)(data).to_dict() for data in chunk[:2]]
    assert results == alone
    assert failure is not None
    assert (failure.position, failure.code) == (2, errors.NOT_AN_IMAGE)


def test_an_invalid_result_names_its_picture(engine: Engine, chunk: list[bytes], batches: Batches) -> None:
    """The third face of the third picture, then the embedding of the last one."""
    batches.spoil(3)
    results, failure = tasks.run(tasks.OPERATIONS["analyse"], engine, list(chunk))
    assert len(results) == 2
    assert failure == Failure(2, errors.INCOMPLETE_RESULT, "age or gender is not a number")
    batches.spoil(2)
    results, failure = tasks.run(tasks.OPERATIONS["embed"], engine, list(chunk))
    assert len(results) == 3
    assert failure == Failure(3, errors.INCOMPLETE_RESULT, "an embedding is not finite")


def test_the_earlier_of_two_failures_is_returned(
    engine: Engine, chunk: list[bytes], batches: Batches
) -> None:
    """The last picture fails when it is decoded; the first one fails only in the networks."""
    batches.spoil(0)
    results, failure = tasks.run(tasks.OPERATIONS["embed"], engine, [chunk[0], b"no picture"])
    assert results == []
    assert failure is not None
    assert (failure.position, failure.code) == (0, errors.INCOMPLETE_RESULT)
