"""Answers that name persons and that Valkey still holds for repeats of their requests (Idempotency-Key).

They are listed by App and epoch, which is the number of deletions so far. A deletion raises the epoch in its
transaction and then deletes the list with its answers. A call lists its answer under the epoch that it began
with: if that is over by then, it deletes the answer itself. An answer that is not on the list of the present
epoch is never repeated, even if Valkey could not be reached to delete it.
"""

import logging

import redis
from django.db import connection, transaction

from common import valkey
from gallery.models import Erasures

log = logging.getLogger(__name__)

_RAISE = """
INSERT INTO gallery_erasures AS erasures (app_id, number) VALUES (%s, 1)
ON CONFLICT (app_id) DO UPDATE SET number = erasures.number + 1 RETURNING number
"""


def epoch(app_pk: int) -> int:
    """Return how often faces of the App were deleted."""
    return Erasures.objects.filter(app=app_pk).values_list("number", flat=True).first() or 0


def list_of(app_pk: int, at_epoch: int) -> str:
    """Return the key of the set that holds the names of an App's remembered answers of an epoch."""
    return f"gallery:answers:{app_pk}:{at_epoch}"


def forget(app_pk: int) -> None:
    """Begin a new epoch in the transaction of a deletion; delete the old one's answers once it commits."""
    with connection.cursor() as cursor:
        cursor.execute(_RAISE, [app_pk])
        (number,) = cursor.fetchone()
    transaction.on_commit(lambda: _forget(list_of(app_pk, number - 1)))


def _forget(key: str) -> None:
    try:
        client = valkey.client()
        names = client.smembers(key)
        client.delete(key, *names)
    except redis.RedisError as error:
        log.warning("remembered answers stay until they expire: %s", type(error).__name__)
