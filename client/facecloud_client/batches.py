"""How many pictures go into one request. Pure."""

from collections.abc import Iterator, Sequence

from facecloud_client.body import Item
from facecloud_client.sources import Source

MAX_IMAGES = 100  # a request, manual 4.2.2
MAX_PAIRS = 50  # a face_compare request
BATCH_IMAGES = 16  # what the client takes unless told: enough to fill the service, and progress stays visible
BATCH_BYTES = 32 * 1024 * 1024  # of picture bytes in one request; one picture alone is at most 10 MiB


def weight_bytes(item: Item) -> int:
    """Picture bytes that one entry of `data` adds to the request."""
    if isinstance(item, Source):
        return item.size_bytes
    return item[0].size_bytes + item[1].size_bytes


def split(items: Sequence[Item], max_items: int, max_bytes: int = BATCH_BYTES) -> Iterator[list[Item]]:
    """Consecutive batches, none over either limit; an entry that is over `max_bytes` by itself goes alone."""
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
