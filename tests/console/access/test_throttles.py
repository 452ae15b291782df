"""Limits per client address on login, registration and reset; the message for a disabled account."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from accounts.users import passwords
from tests.console.conftest import PASSWORD

DISABLED = "该账号已停用"
INVALID = "用户名或密码不正确"


def try_login(client: Client, name: str, password: str, address: str = "198.51.100.7") -> tuple[int, str]:
    reply = client.post("/login/", {"username": name, "password": password}, REMOTE_ADDR=address)
    return reply.status_code, reply.content.decode()


@pytest.mark.django_db
def test_failures_with_a_new_name_each_time_are_limited_too(client: Client, settings: Settings) -> None:
    settings.LOGINS_PER_ADDRESS = 3
    statuses = [try_login(client, f"nobody{number}", "x")[0] for number in range(4)]
    assert statuses == [200, 200, 200, 429]
    assert try_login(client, "nobody", "x", "203.0.113.9")[0] == 200
    page = client.post("/login/", {}, REMOTE_ADDR="198.51.100.7")
    assert page.headers["Retry-After"] == "900"
    assert "15 分钟" in page.content.decode()
    assert client.get("/login/", REMOTE_ADDR="198.51.100.7").status_code == 200


@pytest.mark.django_db
def test_clients_in_one_ipv6_network_share_a_limit(client: Client, settings: Settings) -> None:
    settings.LOGINS_PER_ADDRESS = 2
    statuses = [try_login(client, f"n{n}", "x", f"2001:db8:1:2::{n}")[0] for n in range(1, 4)]
    assert statuses == [200, 200, 429]


@pytest.mark.parametrize("path", ["/register/", "/password/reset/", "/password/reset/x/y/"])
@pytest.mark.django_db
def test_the_other_open_forms_are_limited(client: Client, settings: Settings, path: str) -> None:
    settings.LOGINS_PER_ADDRESS = settings.REGISTRATIONS_PER_ADDRESS = 2
    assert [client.post(path, {}).status_code for _ in range(3)] == [200, 200, 429]


@pytest.fixture
def no_turns(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take every hashing slot, and allow no waiting."""
    slots = passwords.HashingSlots(at_once=1, waiting=0, wait_s=0.01)
    monkeypatch.setattr(passwords, "slots", slots)
    with ExitStack() as stack:
        stack.enter_context(slots.take())
        yield


def test_too_many_concurrent_hashes_are_503_and_not_wrong_passwords(
    client: Client, alice: User, no_turns: None
) -> None:
    for _try in range(7):
        reply = client.post("/login/", {"username": "alice", "password": "x"})  # more than AXES_FAILURE_LIMIT
        assert (reply.status_code, reply.headers["Retry-After"]) == (503, "5")
    assert "请等几秒再试" in reply.content.decode()


def test_a_disabled_account_is_revealed_only_after_the_right_password(client: Client, alice: User) -> None:
    alice.is_active = False
    alice.save()
    for password, expected, other in ((PASSWORD, DISABLED, INVALID), ("not-it", INVALID, DISABLED)):
        status, page = try_login(client, "alice", password)
        assert status == 200
        assert expected in page
        assert other not in page
    assert client.get("/console/").status_code == 302


@pytest.mark.race
@pytest.mark.django_db(transaction=True)
def test_concurrent_wrong_passwords_are_all_counted() -> None:
    """The record of a first failure has a unique key; no request may end in 500 because of it."""
    User.objects.create_user("alice", "alice@example.org", PASSWORD)
    statuses: list[int] = []
    start = threading.Barrier(4)

    def attempt() -> None:
        from django.db import connection

        try:
            start.wait(30)
            statuses.append(try_login(Client(raise_request_exception=False), "alice", "not-it")[0])
        finally:
            connection.close()

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert set(statuses) <= {200, 429}
    assert len(statuses) == 4
