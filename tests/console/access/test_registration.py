"""Who may register and under which names, and concurrent registrations."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from django.core import mail
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import AuditEntry, Invitation, User
from accounts.users import usernames
from tests.console.conftest import PASSWORD
from tests.together import at_once

FORM = {"username": "mallory", "email": "m@example.org", "password1": PASSWORD, "password2": PASSWORD}


def registers(name: str) -> bool:
    Client().post("/register/", FORM | {"username": name})
    return User.objects.filter(username=name).exists()


@pytest.mark.parametrize(
    "name",
    [
        "оperator-1",  # a Cyrillic o
        "ореr",  # entirely Cyrillic
        "ΑΒΓ",  # Greek
        "ｏｐｅｒａｔｏｒ",  # full-width
        "Olga",
        "o1ga",
        "OIGA",
        "0lga",
        "jarnes",  # rn is read as m
        "admin",
        "Adm1n",
        "0perator",
        "客服",
        "管理员",
        "a b",
        "ab",
        "x" * 31,
    ],
)
@pytest.mark.django_db
def test_lookalike_and_reserved_names_are_rejected(name: str) -> None:
    User.objects.create_superuser("olga", "olga@example.org")
    User.objects.create_user("james", "james@example.org")
    assert not registers(name)


@pytest.mark.parametrize("name", ["olga2", "王小明", "li.ming_8", "Zhang-San", "operator-wang", "a0b1"])
@pytest.mark.django_db
def test_ordinary_names_are_accepted(name: str) -> None:
    User.objects.create_superuser("olga", "olga@example.org")
    assert registers(name)


def test_lookalikes_have_the_same_skeleton() -> None:
    assert len({usernames.skeleton(name) for name in ("Olive", "0live", "o1ive", "OLIVE", "olIve")}) == 1
    assert usernames.skeleton("olive") != usernames.skeleton("olives")


@pytest.mark.django_db
def test_an_account_of_an_earlier_version_logs_in_under_any_name(client: Client) -> None:
    User.objects.create_user("Ольга", "olga@example.org", PASSWORD, name_skeleton=None)
    assert client.post("/login/", {"username": "Ольга", "password": PASSWORD}).status_code == 302


@pytest.mark.django_db
def test_a_name_that_is_registered_during_the_check_gets_the_same_message(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(email: str) -> str:
        User.objects.create_user(str(FORM["username"]), "first@example.org", PASSWORD)
        return email

    monkeypatch.setattr("console.forms.check_mailable", meanwhile)  # called after the name was checked
    page = client.post("/register/", FORM).content.decode()
    assert "过于相似" in page
    assert User.objects.count() == 1


@pytest.mark.race
@pytest.mark.parametrize(
    "names", [["mallory"] * 6, ["mallory", "Mallory", "ma11ory", "maIlory", "mallorY", "MALLORY"]]
)
@pytest.mark.django_db(transaction=True)
def test_concurrent_registrations_of_one_name_create_one_account(names: list[str]) -> None:
    def attempt(number: int, name: str) -> tuple[int, str]:
        client = Client(raise_request_exception=False)
        reply = client.post("/register/", FORM | {"username": name, "email": f"m{number}@example.org"})
        return reply.status_code, reply.content.decode()

    replies = at_once(*(lambda n=n, name=name: attempt(n, name) for n, name in enumerate(names)))
    statuses = sorted(status for status, _page in replies)
    assert set(statuses) <= {200, 302, 503}  # 503: too many passwords were being hashed
    assert statuses.count(302) == 1
    assert all("过于相似" in page for status, page in replies if status == 200)
    assert User.objects.count() == 1


@pytest.mark.django_db
def test_nobody_can_register_if_registration_is_closed(client: Client, settings: Settings) -> None:
    settings.REGISTRATION = "closed"
    assert client.post("/register/", FORM).status_code == 403
    page = client.get("/register/")
    assert (page.status_code, "暂不开放注册" in page.content.decode()) == (403, True)
    assert "/register/" not in client.get("/login/").content.decode()
    assert not User.objects.exists()


@pytest.fixture
def invite(
    settings: Settings, django_capture_on_commit_callbacks: Callable[..., object]
) -> Callable[[str], tuple[Client, str]]:
    """Invite an address on the operators' pages; return the client and the token of the link."""
    settings.REGISTRATION = "invited"
    olga = User.objects.create_superuser("olga", "olga@example.org", PASSWORD)
    operator = Client()
    operator.force_login(olga)

    def send(address: str) -> tuple[Client, str]:
        form = operator.get("/ops/acts/invite/").context["form"]
        data = {"email": address, "reason": "a trial", "token": str(form["token"].value())}
        with django_capture_on_commit_callbacks(execute=True):  # type: ignore[attr-defined]  # a context manager
            reply = operator.post("/ops/acts/invite/", data)
        if reply.status_code != 302:
            return operator, ""
        found = re.search(r"/register/\?invitation=(\S+)", str(mail.outbox[-1].body))
        assert found
        return operator, found[1]

    return send


@pytest.mark.django_db
def test_an_invited_address_can_register_once(
    client: Client, invite: Callable[[str], tuple[Client, str]]
) -> None:
    assert client.post("/register/", FORM).status_code == 403
    assert "注册需要邀请" in client.get("/register/").content.decode()
    operator, token = invite("guest@example.org")
    assert mail.outbox[-1].to == ["guest@example.org"]
    entry = AuditEntry.objects.get(act="invite")
    assert entry.subject_id == str(Invitation.objects.get().pk)
    assert "guest@example.org" not in str(entry.details)  # entries are never deleted
    assert "guest@example.org" in operator.get("/admin/accounts/invitation/").content.decode()
    assert 'value="guest@example.org"' in client.get(f"/register/?invitation={token}").content.decode()
    form = FORM | {"invitation": token, "email": "another@example.org"}
    assert client.post("/register/", form).status_code == 302
    user = User.objects.get(username="mallory")
    assert user.email == "guest@example.org"  # the invited address, whatever was sent
    assert user.email_verified_at
    assert Invitation.objects.get().user == user
    second = Client().post("/register/", form | {"username": "trudy"})
    assert (second.status_code, "邀请已失效" in second.content.decode()) == (403, True)


@pytest.mark.django_db
def test_an_invitation_ends_after_a_week(client: Client, invite: Callable[[str], tuple[Client, str]]) -> None:
    _operator, token = invite("guest@example.org")
    with time_machine.travel(timezone.now() + timedelta(days=7, minutes=1)):
        assert client.post("/register/", FORM | {"invitation": token}).status_code == 403
    assert client.post("/register/", FORM | {"invitation": token[:-2]}).status_code == 403


def test_existing_users_cannot_be_invited(alice: User, invite: Callable[[str], tuple[Client, str]]) -> None:
    _operator, token = invite(alice.email)
    assert token == ""
    assert not Invitation.objects.exists()


@pytest.mark.race
@pytest.mark.django_db(transaction=True)
def test_an_invitation_is_for_one_account(settings: Settings) -> None:
    from accounts.users import invitations

    settings.REGISTRATION = "invited"
    olga = User.objects.create_superuser("olga", "olga@example.org")
    row = invitations.invite("guest@example.org", by=olga, at=timezone.now())
    token = invitations.token(row)

    def attempt(number: int) -> int:
        client = Client(raise_request_exception=False)
        return client.post(
            "/register/", FORM | {"username": f"guest-{number}", "invitation": token}
        ).status_code

    statuses = at_once(*(lambda n=n: attempt(n) for n in range(2, 8)))
    assert statuses.count(302) == 1
    assert set(statuses) <= {200, 302, 403, 503}
    assert User.objects.exclude(pk=olga.pk).count() == 1
