"""The calls that pages make of the product's own API. Each holds a thread for pages until its reply."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.utils.translation import gettext_lazy

PER_USER = 3  # the page of a group enrols two pictures at a time
BUSY = gettext_lazy("同时进行的请求过多，请等前面的请求完成后再试。")


class Busy(Exception):
    """The user, or all users of this process together, already make as many calls as allowed."""


class Turns:
    """At most `limit` calls at once, and PER_USER of one user. Excess calls are refused, not queued."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._of_user: Counter[int] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def take(self, user_pk: int) -> Iterator[None]:
        """Hold a turn in the `with` block. Raises Busy."""
        with self._lock:
            if self._of_user[user_pk] >= PER_USER or self._of_user.total() >= self._limit:
                raise Busy
            self._of_user[user_pk] += 1
        try:
            yield
        finally:
            with self._lock:
                self._of_user[user_pk] -= 1
                self._of_user += Counter()  # forget users without calls


# A fifth of WEB_THREADS are for pages (facecloud/web/threads.py); half of these stay free for pages that
# need no call, such as the login and the operators' pages.
turns = Turns(max(PER_USER, settings.WEB_THREADS // 10))
