"""Fixtures of the operators' pages: one operator of each role, and customers whose calls are real rows."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.test import Client

from accounts import roles
from accounts.models import App, AppKey, User
from billing import catalogue, orders, quota
from billing.errors import UsedUp
from billing.models import Api, Order, Sku
from billing.payments import vouchers, wallet
from faceapi import calls, errors
from faceapi.errors import ApiError
from tests.console.conftest import *  # noqa: F403 - these pages have the same customers and browser
from tests.console.conftest import Place

Login = Callable[[str], Client]


@pytest.fixture
def operators(db: None) -> dict[str, User]:
    """Return one operator of each role, by role."""
    made = {}
    for role in roles.ROLES:
        made[role] = User.objects.create_user(f"op-{role}", f"{role}@example.org")
    for role in reversed(roles.ROLES):  # the admin first, because there must always be one
        roles.assign(made[role], [role])
    return made


@pytest.fixture
def log_in(operators: dict[str, User]) -> Login:
    def client_of(role: str) -> Client:
        client = Client()
        client.force_login(operators[role])
        return client

    return client_of


@pytest.fixture
def as_admin(log_in: Login) -> Client:
    return log_in("admin")


@pytest.fixture
def priced(operators: dict[str, User], now: datetime) -> None:
    """Set the price of every Sku to 12.50 yuan a month."""
    for sku in Sku.objects.all():
        catalogue.change(sku, {"price": Decimal("12.50")}, by=operators["admin"], reason="test", at=now)


@dataclass
class World:
    """Alice and Bob with their Apps, orders and calls."""

    apps: list[App]
    orders: list[Order]
    calls: list[UUID]

    @property
    def app(self) -> App:
        return self.apps[0]

    @property
    def key(self) -> AppKey:
        return self.app.keys.get()


def call(app: App, api: str, at: datetime, *, images: int = 1, code: int = errors.OK) -> UUID:
    """Create a call as the signed API does: debit, record and roll-up."""
    one = calls.CallContext(calls.new_id(at), api, at, "203.0.113.9", key=app.keys.first(), images=images)
    one.is_authentic = True
    one.queue_ms, one.infer_ms = random.Random(str(one.id)).uniform(0, 20), 35.0
    one.started -= random.Random(str(one.id)).uniform(0.03, 0.8)
    if code == errors.OK:
        one.debit = quota.reserve(call_id=one.id, app=app, api=api, images=images, at=at)
        quota.confirm({one.id: calls.succeed(one, at)})
    else:
        calls.fail(one, ApiError(code, index=0), at)
    return one.id


@pytest.fixture
def world(
    alice: User, bob: User, operators: dict[str, User], priced: None, place: Place, now: datetime
) -> World:
    """Return two customers with two Apps each and 60 calls of the last nine days, one in five refused."""
    chance = random.Random(7)
    bought, apps = [], []
    for customer in (alice, bob):
        wallet.top_up(customer, Decimal("500"), by=operators["finance"], reason="transfer", at=now)
        vouchers.issue(
            customer=customer, face_value=Decimal("30"), valid_from=now, valid_until=now + timedelta(days=90),
            by=operators["support"], reason="welcome", at=now,
        )  # fmt: skip
        for name in ("门禁", "考勤"):
            first = orders.pay(place(customer, Api.FACE_DETECT, name=name), now - timedelta(days=10))
            assert first.app is not None
            bought.append(first)
            apps.append(first.app)
            second = place(customer, Api.FACE_COMPARE, app=first.app)
            bought.append(orders.pay(second, now - timedelta(days=10)))
    made = []
    for _number in range(60):
        app, api = chance.choice(apps), chance.choice([Api.FACE_DETECT, Api.FACE_COMPARE])
        at = now - timedelta(seconds=chance.randrange(9 * 24 * 3600))
        code = errors.OK if chance.random() < 0.8 else chance.choice([4003, 4008, 5003])
        try:
            made.append(call(app, api, at, images=chance.choice([2, 4, 8]), code=code))
        except UsedUp:
            made.append(call(app, api, at, code=errors.USED_UP))
    return World(apps, bought, made)
