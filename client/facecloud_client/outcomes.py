"""Many pictures, some of them bad: each gets its result or its own refusal, in order.

A request that the service refuses for one picture (`index`) costs nothing; it is sent again without that
picture. A refusal of the whole request (the key, the quota, the service itself) ends the run.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from facecloud_client.batches import split
from facecloud_client.body import Item
from facecloud_client.client import FaceClient, Reply, most_items
from facecloud_client.errors import ApiError, FaceCloudError
from facecloud_client.results import CompareResult, FaceResult, compare_result, face_result


@dataclass(frozen=True)
class Outcome:
    """What became of one picture or pair: exactly one of `result` and `error` is set."""

    item: Item
    result: FaceResult | CompareResult | None = None
    error: FaceCloudError | None = None


@dataclass(frozen=True)
class Done:
    """One finished batch. `units` and `remaining` are the service's count, None where it gave none."""

    outcomes: Sequence[Outcome]
    units: int | None
    remaining: int | None


def run(client: FaceClient, api: str, items: Sequence[Item], *, batch: int, jobs: int) -> Iterator[Done]:
    """Batches in order, `jobs` requests at a time. Raises FaceCloudError where going on is of no use."""
    parts = list(split(items, min(batch, most_items(api))))
    pool = ThreadPoolExecutor(jobs)
    try:
        yield from pool.map(lambda part: one_batch(client, api, part), parts)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # nobody waits for requests after a Ctrl-C


def one_batch(client: FaceClient, api: str, items: Sequence[Item]) -> Done:
    """One batch, sent until no picture of it is refused. Raises FaceCloudError for a refusal of the whole."""
    refused: dict[int, ApiError] = {}
    left = list(range(len(items)))
    reply = Reply([], "", 0, None)
    while left:
        try:
            reply = client.call(api, [items[position] for position in left])
            break
        except ApiError as error:
            if error.index is None or not 0 <= error.index < len(left) or not 4000 <= error.code < 4100:
                raise
            refused[left.pop(error.index)] = error
    read = compare_result if api == "face_compare" else face_result
    results = {position: read(entry) for position, entry in zip(left, reply.entries, strict=True)}
    outcomes = [
        Outcome(item, results.get(position), refused.get(position)) for position, item in enumerate(items)
    ]
    return Done(outcomes, reply.billed_units, reply.quota_remaining)
