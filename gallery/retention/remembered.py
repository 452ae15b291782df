"""Deletion of stored answers that name persons. Valkey keeps answers to repeat them (Idempotency-Key).

They are listed by App and epoch, which is the number of deletions so far. A deletion increments the epoch in
its transaction and then deletes the list with its answers. A call lists its answer under the epoch at its
start; if that epoch has ended meanwhile, the call deletes the answer itself. An answer that is not on the
list of the current epoch is never repeated, even if Valkey could not be reached to delete it.
"""

import logging

import redis
from django.db import connection, transaction

from common import valkey
from gallery.models import Erasures

log = logging.getLogger(__name__)

_NEXT_EPOCH = """
INSERT INTO gallery_erasures AS erasures (app_id, number) VALUES (%s, 1)
ON CONFLICT (app_id) DO UPDATE SET number = erasures.number + 1 RETURNING number
"""


def epoch(app_pk: int) -> int:
    """Return the App's current epoch: the number of deletions of its faces."""
    return Erasures.objects.filter(app=app_pk).values_list("number", flat=True).first() or 0


def list_of(app_pk: int, at_epoch: int) -> str:
    """Return the key of the set that lists the keys of an App's stored answers in an epoch."""
    return f"gallery:answers:{app_pk}:{at_epoch}"


def forget(app_pk: int) -> None:
    """Start a new epoch in the transaction of a deletion; delete the answers of the old one on commit."""
    with connection.cursor() as cursor:
        cursor.execute(_NEXT_EPOCH, [app_pk])
        (number,) = cursor.fetchone()
    transaction.on_commit(lambda: _forget(list_of(app_pk, number - 1)))


def _forget(key: str) -> None:
    try:
        client = valkey.client()
        names = client.smembers(key)
        client.delete(key, *names)
    except redis.RedisError as error:
        log.warning("stored answers were not deleted and remain until they expire: %s", type(error).__name__)
