"""Processing of many pictures in batches; each picture gets its own result or error, in order.

A request that is rejected because of one picture (`index`) costs nothing and is repeated without that
picture. If a batch is rejected as a whole, after all retries, only its own pictures fail. The run ends early
if later batches would be rejected too: when the keys or the quota are rejected, or several batches in a row.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from facecloud_client.client import FaceClient, Reply, max_items
from facecloud_client.errors import ApiError, AuthenticationError, FaceCloudError, InputError, QuotaError
from facecloud_client.in_order import in_order
from facecloud_client.request.batches import BATCH_IMAGES, split
from facecloud_client.request.body import Item, names
from facecloud_client.results import CompareResult, FaceResult, compare_result, face_result

JOBS = 2


@dataclass(frozen=True)
class Outcome:
    """The outcome for one picture or pair: exactly one of `result` and `error` is set."""

    item: Item
    result: FaceResult | CompareResult | None = None
    error: FaceCloudError | None = None


@dataclass(frozen=True)
class Done:
    """One finished batch, with the service's unit counts, or None if it sent none.

    `refusal` is the error if the batch was rejected as a whole; it is then the error of its pictures too.
    """

    outcomes: Sequence[Outcome]
    units: int | None = None
    remaining: int | None = None
    refusal: FaceCloudError | None = None


def run(
    client: FaceClient, api: str, items: Sequence[Item], *, batch: int = BATCH_IMAGES, jobs: int = JOBS
) -> Iterator[Done]:
    """Yield finished batches in order, with `jobs` concurrent requests and a bounded number of results ahead.

    If the run ends early, the last Done has the `refusal`, and pictures that were not sent appear in none.
    """
    parts = list(split(items, min(batch, max_items(api))))
    return in_order(partial(one_batch, client, api), parts, lambda done: done.refusal, jobs=jobs)


def one_batch(client: FaceClient, api: str, items: Sequence[Item]) -> Done:
    """Send one batch, repeating it without rejected pictures."""
    bad: dict[int, FaceCloudError] = {}
    left = list(range(len(items)))
    reply = Reply([], "", 0, None)
    read = compare_result if api == "face_compare" else face_result
    try:
        while left:
            try:
                reply = client.call(api, [items[position] for position in left])
                break
            except (ApiError, InputError) as error:
                at_fault = [left[number] for number in faulty(error, [items[position] for position in left])]
                if not at_fault:
                    raise
                bad |= dict.fromkeys(at_fault, error)
                left = [position for position in left if position not in bad]
        results = {position: read(entry) for position, entry in zip(left, reply.entries, strict=True)}
    except FaceCloudError as refusal:
        outcomes = [Outcome(item, error=bad.get(at, refusal)) for at, item in enumerate(items)]
        return Done(outcomes, refusal=refusal)
    outcomes = [Outcome(item, results.get(at), bad.get(at)) for at, item in enumerate(items)]
    return Done(outcomes, reply.billed_units, reply.quota_remaining)


def faulty(error: ApiError | InputError, sent: Sequence[Item]) -> list[int]:
    """Return the positions of the entries that caused an error; empty if the whole request did."""
    if isinstance(error, InputError):  # a file that was deleted since it was listed
        return [number for number, item in enumerate(sent) if error.source in names(item)]
    if error.index is None or isinstance(error, AuthenticationError | QuotaError):
        return []
    return [error.index] if 0 <= error.index < len(sent) else []
