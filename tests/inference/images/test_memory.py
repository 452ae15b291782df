"""A worker's memory does not grow with the number of calls."""

from collections.abc import Callable

import cv2
import numpy as np
import psutil

from inference.pipeline.engine import Engine

CALLS = 2000


def test_memory_is_stable_over_two_thousand_calls(
    engine: Engine, close_up: np.ndarray, encode: Callable[..., bytes]
) -> None:
    """The pictures have many sizes, to reveal caches that grow with the number of shapes."""
    files = [
        encode(cv2.resize(close_up, (64 + 3 * k, 64 + 2 * k)), ".png" if k % 2 else ".jpg") for k in range(40)
    ]
    process = psutil.Process()
    for data in files * 5:
        engine.detect(data)
    settled = process.memory_info().rss
    for number in range(CALLS):
        data = files[number % len(files)]
        if number % 40 == 0:
            engine.embed(data)
        elif number % 40 == 1:
            engine.analyse(data)
        else:
            engine.detect(data)
    grown_mb = (process.memory_info().rss - settled) / 2**20
    assert grown_mb < 40
