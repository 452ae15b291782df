"""Splitting of pictures into requests. Pure functions."""

from collections.abc import Iterator, Sequence

from facecloud_client.request.body import Item
from facecloud_client.request.sources import Source

MAX_IMAGES = 100  # per request, manual 4.2.2
MAX_PAIRS = 50  # per face_compare request
BATCH_IMAGES = 16  # the default: enough to keep the service busy, with frequent progress
BATCH_BYTES = 32 * 1024 * 1024  # of pictures in one request; a single picture is at most 10 MiB


def weight_bytes(item: Item) -> int:
    """Return the bytes of the pictures in one entry of `data`."""
    if isinstance(item, Source):
        return item.size_bytes
    return item[0].size_bytes + item[1].size_bytes


def split(items: Sequence[Item], max_items: int, max_bytes: int = BATCH_BYTES) -> Iterator[list[Item]]:
    """Yield consecutive batches that are within both limits.

    An entry that is larger than `max_bytes` gets a separate batch.
    """
    batch: list[Item] = []
    total_bytes = 0
    for item in items:
        size_bytes = weight_bytes(item)
        if batch and (len(batch) >= max_items or total_bytes + size_bytes > max_bytes):
            yield batch
            batch, total_bytes = [], 0
        batch.append(item)
        total_bytes += size_bytes
    if batch:
        yield batch
