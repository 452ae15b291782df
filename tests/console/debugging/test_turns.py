"""Calls that pages make of the API are limited, so that other pages always find a thread."""

from contextlib import ExitStack

import pytest
from django.test import Client

from accounts.models import App, User
from console.debugging.turns import BUSY, PER_USER, Busy, Turns, turns


def test_turns_are_limited_for_a_user_and_in_all() -> None:
    limited = Turns(PER_USER + 2)
    with ExitStack() as held:
        for _number in range(PER_USER):
            held.enter_context(limited.take(1))
        with pytest.raises(Busy), limited.take(1):
            pass
        for user in (2, 3):
            held.enter_context(limited.take(user))
        with pytest.raises(Busy), limited.take(4):
            pass
    with ExitStack() as held:  # all were given back
        for _number in range(PER_USER):
            held.enter_context(limited.take(1))


def test_a_failed_call_gives_its_turn_back() -> None:
    limited = Turns(1)
    with pytest.raises(ValueError, match="fails"), limited.take(1):
        raise ValueError("fails")
    with limited.take(1):
        pass


@pytest.mark.parametrize("path", ["/console/debug/", "/console/explorer/"])
def test_a_page_says_that_too_many_calls_are_under_way(
    as_alice: Client, alice: User, app: App, path: str
) -> None:
    with ExitStack() as held:
        for _number in range(PER_USER):
            held.enter_context(turns.take(alice.pk))
        url = "https://example.org/a.png"
        form = {"app": app.app_id, "api": "face_detect", "urls": url, "data.0": url}
        reply = as_alice.post(path, form)
    assert reply.context["refused"] == str(BUSY)
