"""The operators' home page: matters that need attention, and today compared with earlier days."""

import re
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db.models import F
from django.utils import timezone

from accounts.models import App, User
from billing import orders, quota
from billing.models import Api, Order, Period
from billing.payments import wallet
from faceapi import errors
from tests.console.conftest import Place
from tests.operations.conftest import Login, World, call

NOON = datetime.fromisoformat("2026-07-15T12:30:00+08:00")


@pytest.fixture
def now() -> datetime:
    return NOON


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def home(log_in: Login, time_machine: object) -> str:
    time_machine.move_to(NOON, tick=False)  # type: ignore[attr-defined]
    reply = log_in("viewer").get("/ops/")
    assert reply.status_code == 200
    return text_of(reply.content.decode())


def test_figures_are_compared_with_the_same_hours(
    alice: User, place: Place, log_in: Login, time_machine: object, operators: dict[str, User]
) -> None:
    wallet.top_up(
        alice, Decimal("900"), by=operators["finance"], reason="transfer", at=NOON - timedelta(days=9)
    )
    app = orders.pay(place(alice, Api.FACE_DETECT), NOON - timedelta(days=8)).app
    assert app is not None
    for back, number in ((0, 6), (1, 4), (7, 3)):
        for one in range(number):
            call(app, Api.FACE_DETECT, NOON - timedelta(days=back, hours=1, minutes=one))
    # These are in the current hour, which is not compared, neither today's nor yesterday's.
    call(app, Api.FACE_DETECT, NOON - timedelta(minutes=1))
    call(app, Api.FACE_DETECT, NOON - timedelta(days=1) + timedelta(hours=2))
    page = home(log_in, time_machine)
    assert "用量截至 12:00" in page
    assert "调用次数 6 次 较昨天 +50% 较上周 +100%" in page
    assert re.search(r"成功率 100[.0]*% 较昨天 \+0\.00 个百分点", page)


def test_each_matter_that_needs_attention_links_to_its_page(
    world: World, place: Place, alice: User, log_in: Login, time_machine: object
) -> None:
    order: Order = place(alice, Api.FACE_DETECT, name="门禁二")
    Order.objects.filter(pk=order.pk).update(created_at=NOON, expires_at=NOON + timedelta(hours=48))
    full = world.apps[1]
    Period.objects.filter(quota.live(NOON), app=full).update(used=F("granted"))
    for number in range(25):
        call(full, Api.FACE_DETECT, NOON - timedelta(hours=1, seconds=number), code=4003)
    page = home(log_in, time_machine)
    assert "1 个应用的额度已用完。 查看应用" in page
    assert "1 个订单待支付。 查看订单" in page
    assert re.search(r"返回码 4003（[^）]+）今天 2\d 次，昨天同时段 \d+ 次。 用量报表", page)
    assert "没有需要处理的事项" not in page


@pytest.mark.parametrize("code", [errors.USED_UP, errors.EXPIRED])
def test_a_customer_without_quota_is_not_reported_as_rising_errors(
    app: App, log_in: Login, time_machine: object, code: int
) -> None:
    for number in range(25):
        call(app, Api.FACE_DETECT, NOON - timedelta(hours=1, seconds=number), code=code)
    assert f"返回码 {code}" not in home(log_in, time_machine)


def test_shortly_after_midnight_there_is_nothing_to_compare(log_in: Login, time_machine: object) -> None:
    midnight = timezone.localtime(NOON).replace(hour=0, minute=20)
    time_machine.move_to(midnight, tick=False)  # type: ignore[attr-defined]
    page = text_of(log_in("viewer").get("/ops/").content.decode())
    assert "用量截至 00:00" in page
    assert "调用次数 0 次 较昨天 – 较上周 –" in page
