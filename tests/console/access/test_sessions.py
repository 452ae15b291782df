"""Sessions expire, operators' earlier; pages of a logged-in user are not cached."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.test import Client
from pytest_django import Settings

from accounts.models import App, User
from tests.console.conftest import PASSWORD

START = datetime(2027, 3, 10, 4, tzinfo=UTC)
RIGHT = {"username": "alice", "password": PASSWORD}


def stays_in(minutes: list[int], path: str = "/console/settings/password/", **headers: str) -> list[bool]:
    """Log in at START; return whether a request at each of these minutes afterwards was let through."""
    client = Client()
    with time_machine.travel(START, tick=False) as clock:
        assert client.post("/login/", RIGHT).status_code == 302
        found = []
        for minute in minutes:
            clock.move_to(START + timedelta(minutes=minute))
            found.append(client.get(path, headers=headers).status_code == 200)
    return found


def test_a_customers_session_ends_after_eight_idle_hours_or_a_week(alice: User) -> None:
    assert stays_in([480, 961]) == [True, False]
    day = 24 * 60
    assert stays_in([*range(400, 7 * day, 400), 7 * day + 1])[-2:] == [True, False]


def test_an_operators_session_is_shorter(alice: User) -> None:
    alice.is_staff = alice.is_superuser = True
    alice.save()
    assert stays_in([30, 60, 91]) == [True, True, False]
    assert stays_in([*range(25, 720, 25), 721])[-2:] == [True, False]


def test_automatic_refreshes_do_not_extend_a_session(alice: User) -> None:
    alice.is_staff = alice.is_superuser = True
    alice.save()
    polled = stays_in([10, 20, 30, 31], "/ops/live/", **{"HX-Request": "true"})
    assert polled == [True, True, True, False]


def test_a_new_login_restarts_the_age_of_the_session(alice: User, settings: Settings) -> None:
    settings.SESSION_HOURS = 1
    client = Client()
    with time_machine.travel(START, tick=False) as clock:
        for hours in range(3):
            clock.move_to(START + timedelta(minutes=50 * hours))
            client.post("/logout/")
            client.post("/login/", RIGHT)
            assert client.get("/console/settings/password/").status_code == 200


def test_a_session_of_an_earlier_version_counts_from_its_next_request(as_alice: Client) -> None:
    session = as_alice.session
    for key in ("started_s", "seen_s"):
        session.pop(key, None)
    session.save()
    assert as_alice.get("/console/").status_code == 200
    assert {"started_s", "seen_s"} <= set(as_alice.session.keys())


PAGES = [
    "/console/", "/console/settings/", "/console/wallet/", "/console/wallet/statement.csv",
    "/console/orders/", "/login/", "/register/", "/password/reset/",
]  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
def test_private_pages_are_not_cached(as_alice: Client, app: App, path: str) -> None:
    assert "no-store" in as_alice.get(path)["Cache-Control"]


def test_a_public_page_with_a_user_name_is_not_cached(as_alice: Client, client: Client, app: App) -> None:
    assert "no-store" in as_alice.get("/")["Cache-Control"]
    assert "no-store" in as_alice.get(f"/console/apps/{app.app_id}/report.csv")["Cache-Control"]
    assert "Cache-Control" not in Client().get("/docs/").headers


def test_the_lock_page_is_not_cached(client: Client, alice: User) -> None:
    wrong = {"username": "alice", "password": "not-it"}
    replies = [client.post("/login/", wrong) for _try in range(6)]
    assert replies[-1].status_code == 429
    assert "no-store" in replies[-1]["Cache-Control"]


def test_static_files_are_cached(as_alice: Client) -> None:
    reply = as_alice.get("/static/css/app.css")
    assert reply.status_code == 200
    assert "no-store" not in reply.headers.get("Cache-Control", "")
    reply.close()


@pytest.mark.parametrize(
    ("password", "is_fine"),
    [
        ("password123", False),
        ("PASSWORD123", False),
        ("iloveyou2010", False),
        ("qwertyuiop123", False),
        ("kurz-9xq", False),  # nine characters or fewer
        ("ren-lian-2026", True),
        ("Korrekt-Pferd-9", True),
    ],
)
@pytest.mark.django_db
def test_leaked_passwords_are_refused(client: Client, password: str, is_fine: bool) -> None:
    form = {"username": "mallory", "email": "m@example.org", "password1": password, "password2": password}
    client.post("/register/", form)
    assert User.objects.filter(username="mallory").exists() == is_fine
