"""Argon2 with OWASP's parameters, replacement of old hashes, and a limit on concurrent hashing."""

import threading

import pytest
from argon2 import extract_parameters
from django.contrib.auth import authenticate
from django.contrib.auth.hashers import Argon2PasswordHasher, make_password
from django.test import RequestFactory

from accounts.models import User
from accounts.users import passwords

PASSWORD = "ren-lian-2026"


def parameters(encoded: str) -> tuple[int, int, int]:
    found = extract_parameters(encoded.removeprefix("argon2"))
    return found.memory_cost, found.time_cost, found.parallelism


def test_passwords_are_hashed_with_owasp_parameters() -> None:
    assert parameters(make_password(PASSWORD)) == (19456, 2, 1)


@pytest.mark.django_db
def test_a_hash_of_an_earlier_version_is_replaced_at_the_next_login() -> None:
    old = Argon2PasswordHasher().encode(PASSWORD, "saltsaltsaltsalt")
    assert parameters(old)[0] == 102400
    User.objects.create(username="alice", email="alice@example.org", password=old)
    request = RequestFactory().post("/login/")
    assert authenticate(request, username="alice", password="not-it") is None
    assert User.objects.get().password == old
    assert authenticate(request, username="alice", password=PASSWORD) is not None
    assert parameters(User.objects.get().password) == (19456, 2, 1)


def test_hashing_is_bounded_in_concurrency_queue_and_wait() -> None:
    slots = passwords.HashingSlots(at_once=1, waiting=1, wait_s=0.2)
    with slots.take():
        with pytest.raises(passwords.Busy), slots.take():  # timed out
            pass
        entered, release = threading.Event(), threading.Event()

        def wait() -> None:
            patient = passwords.HashingSlots.take
            with pytest.raises(passwords.Busy), patient(slots):
                entered.set()
            release.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(30)
        assert release.is_set()
        assert not entered.is_set()
    with slots.take():  # all slots were released
        pass


@pytest.mark.race
def test_a_flood_blocks_at_most_the_queued_threads() -> None:
    slots = passwords.HashingSlots(at_once=2, waiting=3, wait_s=60)
    inside, done, refused = threading.Semaphore(0), threading.Event(), []

    def flood() -> None:
        try:
            with slots.take():
                inside.release()
                done.wait(60)
        except passwords.Busy:
            refused.append(1)
            inside.release()

    threads = [threading.Thread(target=flood) for _ in range(40)]
    for thread in threads:
        thread.start()
    for _ in range(2 + 35):  # two are hashing, three wait, the others were rejected at once
        assert inside.acquire(timeout=30)
    assert len(refused) == 35
    done.set()
    for thread in threads:
        thread.join(60)
    assert len(refused) == 35
