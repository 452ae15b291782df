"""Answers that name persons and that Valkey still holds for repeats of their requests (Idempotency-Key).

They are listed for each App, so that a deletion takes them along. Valkey forgets them by itself within
settings.IDEMPOTENCY_ANSWER_S, which is what remains if it can't be reached.
"""

import logging

import redis
from django.db import transaction

from common import valkey

log = logging.getLogger(__name__)


def list_of(app_pk: int) -> str:
    """Return the key of the set that holds the names of an App's remembered answers."""
    return f"gallery:answers:{app_pk}"


def forget(app_pk: int) -> None:
    """Delete the App's remembered answers once the deletion of its faces is committed."""
    transaction.on_commit(lambda: _forget(app_pk))


def _forget(app_pk: int) -> None:
    try:
        client = valkey.client()
        key = list_of(app_pk)
        names = client.smembers(key)
        client.delete(key, *names)
    except redis.RedisError as error:
        log.warning("remembered answers stay until they expire: %s", type(error).__name__)
