"""The real engine with the real models, and one real face (a public-domain portrait)."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from inference.pipeline.engine import Engine
from inference.pipeline.engine import engine as shared_engine

Encode = Callable[..., bytes]


@pytest.fixture(scope="session")
def engine(models: Path) -> Engine:
    loaded = shared_engine(models)
    loaded.warm_up()
    return loaded


@pytest.fixture(scope="session")
def portrait(astronaut: bytes) -> np.ndarray:
    """Return the portrait, 512x512 BGR, with one face of about 90x113 px."""
    return cv2.imdecode(np.frombuffer(astronaut, np.uint8), cv2.IMREAD_COLOR)


@pytest.fixture(scope="session")
def close_up(portrait: np.ndarray) -> np.ndarray:
    """Return the face with little background, 160x160."""
    return np.ascontiguousarray(portrait[40:200, 145:305])


@pytest.fixture(scope="session")
def encode() -> Encode:
    """Return a function from pixels to file bytes: `encode(pixels, ".jpg", 90)`."""

    def to_file(pixels: np.ndarray, suffix: str = ".jpg", quality: int = 95) -> bytes:
        flags = [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == ".jpg" else []
        done, data = cv2.imencode(suffix, pixels, flags)
        assert done
        return data.tobytes()

    return to_file
