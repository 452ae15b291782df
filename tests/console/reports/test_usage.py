"""The usage of the account and of an App: whose calls are counted, compared with what, added up by meter."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import App, User
from billing.models import Api
from tests import purchases
from tests.console.conftest import Place
from tests.operations.conftest import call

NOON = datetime.fromisoformat("2026-07-15T12:30:00+08:00")


@pytest.fixture
def now() -> datetime:
    return NOON


@pytest.fixture
def second(app: App, alice: User, bob: User, place: Place, time_machine: Any) -> App:
    """Return another App of Alice. Hers were called today and yesterday, and one of Bob's today."""
    made = purchases.pay(place(alice, name="考勤"), NOON)
    foreign = purchases.pay(place(bob), NOON)
    for one, api, images in (
        (app, Api.FACE_DETECT, 4),
        (made, Api.FACE_DETECT, 3),
        (app, Api.FACE_COMPARE, 2),
        (foreign, Api.FACE_DETECT, 9),
    ):
        call(one, api, NOON, images=images)
    call(app, Api.FACE_DETECT, NOON, code=4003)
    for back in (timedelta(days=1, hours=1), timedelta(days=1, hours=-3)):  # the second is later in the day
        call(app, Api.FACE_DETECT, NOON - back, code=4003)
    time_machine.move_to(NOON + timedelta(minutes=1), tick=False)
    return made


def get(alice: User, path: str) -> Any:
    client = Client()
    client.force_login(alice)
    return client.get(path)


def test_the_account_is_the_sum_of_its_apps(alice: User, second: App) -> None:
    page = get(alice, "/console/usage/?range=today")
    assert page.context["usage"].total.calls == 4
    assert page.context["units"] == [(7, "张"), (1, "次")]
    assert {row[0].name: row[1].calls for row in page.context["by_app"]} == {"门禁": 3, "考勤": 1}
    text = page.content.decode()
    assert f'href="/console/apps/{second.app_id}/report/?range=today"' in text
    assert "上一时段同期 1" in text
    file = get(alice, "/console/usage.csv?range=today").content.decode().splitlines()
    assert sum(int(line.split(",")[1]) for line in file[1:]) == 4


def test_a_report_is_that_of_its_app(alice: User, app: App, second: App) -> None:
    page = get(alice, f"/console/apps/{second.app_id}/report/?range=today")
    assert page.context["usage"].total.calls == 1
    assert page.context["units"] == [(3, "张")]
    assert "上一时段同期 0" in page.content.decode()
    narrowed = get(alice, f"/console/apps/{app.app_id}/report/?range=today&api=face_compare")
    assert narrowed.context["usage"].total.calls == 1
    assert narrowed.context["units"] == [(1, "次")]
