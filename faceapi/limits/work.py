"""Estimates of the inference time of pictures, so that work is shared by its size and not by its count.

A header gives the size and the format of a picture, but not its content: noise or a crowd of faces takes a
hundred times as long. So each web process also learns, for each customer and operation, the factor by which
chunks exceed their estimate.
"""

import threading
from collections import OrderedDict

from inference.images.formats.common import Header

# Measured with the models of inference/models/registry.py on one core (bin/bench speed).
PICTURE_MS = 3.0
FIRST_MP_MS = 12.0  # detection works on at most one megapixel; further pixels are only decoded
MP_MS = {"jpeg": 3.0, "png": 20.0}
PROGRESSIVE_MP_MS = 7.0
FACE_MS = {"detect": 0.0, "analyse": 35.0, "embed": 25.0, "identify": 25.0, "identify_all": 25.0}  # per face

CONTENTION = 2.0  # on a busy machine, any picture may take this many times as long
WEIGHT = 0.3  # of the latest chunk in the moving average
MAX_FACTOR = 200.0
MAX_KNOWN = 10_000


def estimate_ms(header: Header, operation: str) -> float:
    """Estimate the milliseconds of one core for a picture with one face."""
    megapixels = header.width_px * header.height_px / 1e6
    per_mp = PROGRESSIVE_MP_MS if header.progressive else MP_MS[header.format]
    return PICTURE_MS + FIRST_MP_MS * min(megapixels, 1.0) + per_mp * megapixels + FACE_MS[operation]


class Experience:
    """The average factor by which the chunks of a customer exceed their estimate. Thread-safe."""

    def __init__(self) -> None:
        self._factors: OrderedDict[tuple[int, str], float] = OrderedDict()
        self._lock = threading.Lock()

    def learn(self, customer: int, operation: str, *, estimated_ms: float, took_ms: float) -> None:
        """Update the average with a chunk that a worker has answered."""
        if estimated_ms <= 0:
            return
        factor = min(took_ms / estimated_ms, MAX_FACTOR)
        key = (customer, operation)
        with self._lock:
            self._factors[key] = (1 - WEIGHT) * self._factors.get(key, 1.0) + WEIGHT * factor
            self._factors.move_to_end(key)
            if len(self._factors) > MAX_KNOWN:
                self._factors.popitem(last=False)

    def factor(self, customer: int, operation: str) -> float | None:
        """Return the factor for an estimate, at least 1; None if nothing is known yet."""
        factor = self._factors.get((customer, operation))
        return None if factor is None else max(1.0, factor / CONTENTION)


experience = Experience()
