"""Many pictures, some of them bad: each gets its result or its own refusal, batch after batch, in order.

A request that the service refuses for one picture (`index`) costs nothing; it is sent again without that
picture. A batch that is refused as a whole, after every retry, takes its own pictures along and no others.
The run ends where the next batch can fare no better: after a refusal of the keys or the quota, or of several
batches in a row.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from facecloud_client.batches import BATCH_IMAGES, split
from facecloud_client.body import Item, names
from facecloud_client.client import FaceClient, Reply, most_items
from facecloud_client.errors import ApiError, AuthenticationError, FaceCloudError, InputError, QuotaError
from facecloud_client.results import CompareResult, FaceResult, compare_result, face_result
from facecloud_client.retry import RETRIED_STATUSES

JOBS = 2
PATIENCE = 3  # batches refused in a row: the service is down, or no batch is to its liking


@dataclass(frozen=True)
class Outcome:
    """What became of one picture or pair: exactly one of `result` and `error` is set."""

    item: Item
    result: FaceResult | CompareResult | None = None
    error: FaceCloudError | None = None


@dataclass(frozen=True)
class Done:
    """One finished batch. `units` and `remaining` are the service's count, None where it gave none.

    `refusal`: why the batch as a whole was refused; it is then the error of its pictures too.
    """

    outcomes: Sequence[Outcome]
    units: int | None = None
    remaining: int | None = None
    refusal: FaceCloudError | None = None


def run(
    client: FaceClient, api: str, items: Sequence[Item], *, batch: int = BATCH_IMAGES, jobs: int = JOBS
) -> Iterator[Done]:
    """Batches in order, `jobs` requests at a time, few results ahead of the reader.

    Where the run ends early, the last Done has the `refusal`, and what was not sent is in none.
    """
    parts = iter(list(split(items, min(batch, most_items(api)))))
    pool = ThreadPoolExecutor(jobs)
    ahead: deque[Future[Done]] = deque()
    refused_in_a_row, ended_by = 0, None
    try:
        while True:
            while len(ahead) < 2 * jobs and (part := next(parts, None)):
                ahead.append(pool.submit(one_batch, client, api, part))
            if not ahead:
                break
            done = ahead.popleft().result()
            refused_in_a_row = refused_in_a_row + 1 if done.refusal else 0
            if is_final(done.refusal) or refused_in_a_row == PATIENCE:
                ended_by = done
                break
            yield done
        # What is under way may be served, and paid for.
        for under_way in [future for future in ahead if not future.cancel()]:
            if not (done := under_way.result()).refusal:
                yield done
        if ended_by:
            yield ended_by
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # nobody waits for requests after a Ctrl-C


def is_final(refusal: FaceCloudError | None) -> bool:
    """Whether every later request would be refused alike: the keys, or what may be spent with them."""
    if isinstance(refusal, QuotaError):
        return refusal.http_status not in RETRIED_STATUSES
    return isinstance(refusal, AuthenticationError)


def one_batch(client: FaceClient, api: str, items: Sequence[Item]) -> Done:
    """One batch, sent until no picture of it is refused."""
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
    """Which of the entries an error is about; none where it is about the whole request."""
    if isinstance(error, InputError):  # a file that went away since it was listed
        return [number for number, item in enumerate(sent) if error.source in names(item)]
    if error.index is None or isinstance(error, AuthenticationError | QuotaError):
        return []
    return [error.index] if 0 <= error.index < len(sent) else []
