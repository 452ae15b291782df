"""Somebody can always give roles, however many take them away at once."""

import threading
from collections.abc import Callable
from functools import partial

import pytest
from django.db import connections

from accounts import roles
from accounts.errors import RuleError
from accounts.models import User


def at_once(*works: Callable[[], None]) -> list[str]:
    """Runs them in threads of their own from one start; the codes of what was refused."""
    gate = threading.Barrier(len(works))
    refused: list[str] = []

    def run(work: Callable[[], None]) -> None:
        try:
            gate.wait(30)
            work()
        except RuleError as error:
            refused.append(error.code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return refused


@pytest.mark.race
@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_of_two_admins_who_go_for_each_other_one_stays() -> None:
    for number in range(8):
        one, two = [User.objects.create_user(f"{name}{number}", f"{name}{number}@x.org") for name in "ab"]
        roles.assign(one, ["admin"])
        roles.assign(two, ["admin"])
        against_one = partial(roles.assign, one, []) if number % 2 else partial(roles.set_active, one, False)
        assert at_once(against_one, partial(roles.set_active, two, False)) == ["last_admin"]
        assert roles.who_may("ops_people").count() == 1
        User.objects.all().delete()
