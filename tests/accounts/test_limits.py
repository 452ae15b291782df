"""Limits of an App: either all are saved or none, with addresses in canonical form."""

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.applications import create_app
from accounts.errors import RuleError
from accounts.limits import MAX_ADDRESSES, check_addresses, set_limits
from accounts.models import App, Region, User


@pytest.fixture
def app(db: None) -> App:
    return create_app(
        customer=User.objects.create_user("alice", "alice@example.org"),
        region=Region.objects.all()[0],
        name="门禁",
        description="大楼门禁",
        at=timezone.now(),
    )


@pytest.mark.parametrize(
    ("texts", "networks"),
    [
        ([], []),
        (["192.0.2.7"], ["192.0.2.7/32"]),
        ([" 10.1.2.3/8 ", "10.0.0.0/8"], ["10.0.0.0/8"]),
        (["2001:DB8::1", "::1/128"], ["2001:db8::1/128", "::1/128"]),
        (["ffff:" * 7 + "ffff"], ["ffff:" * 7 + "ffff/128"]),
    ],
)
def test_addresses_and_networks_are_made_canonical(texts: list[str], networks: list[str]) -> None:
    assert check_addresses(texts) == networks


@pytest.mark.parametrize(
    "text", ["", "here", "256.0.0.1", "10.0.0.0/33", "::1/129", "http://10.0.0.1", "fe80::1%eth0"]
)
def test_invalid_addresses_are_rejected(text: str) -> None:
    with pytest.raises(RuleError) as refused:
        check_addresses(["10.0.0.1", text])
    assert (refused.value.code, refused.value.details) == ("address_invalid", {"text": text})


def test_the_number_of_addresses_is_limited() -> None:
    addresses = [f"10.0.{number}.1" for number in range(MAX_ADDRESSES + 1)]
    assert len(check_addresses(addresses[1:])) == MAX_ADDRESSES
    with pytest.raises(RuleError):
        check_addresses(addresses)


def test_limits_are_saved(app: App) -> None:
    set_limits(app, rate_per_s=5, concurrency=None, allowed_addresses=["::1", "192.0.2.0/24"])
    app.refresh_from_db()
    assert (app.rate_per_s, app.concurrency) == (5, None)
    assert app.allowed_addresses == ["::1/128", "192.0.2.0/24"]
    set_limits(app, rate_per_s=None, concurrency=None, allowed_addresses=[])
    app.refresh_from_db()
    assert (app.rate_per_s, app.allowed_addresses) == (None, [])


def test_only_the_named_limits_are_written(app: App) -> None:
    stale = App.objects.get(pk=app.pk)
    set_limits(app, rate_per_s=5, concurrency=2, allowed_addresses=["::1"])
    set_limits(stale, rate_per_s=None, concurrency=7, allowed_addresses=[], only=["concurrency"])
    assert (stale.rate_per_s, stale.concurrency, stale.allowed_addresses) == (5, 7, ["::1/128"])
    app.refresh_from_db()
    assert (app.rate_per_s, app.concurrency, app.allowed_addresses) == (5, 7, ["::1/128"])


@pytest.mark.parametrize("limit", ["rate_per_s", "concurrency", "face_limit"])
def test_the_database_rejects_a_limit_of_zero(app: App, limit: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        App.objects.filter(pk=app.pk).update(**{limit: 0})


@pytest.mark.parametrize(
    "wrong", [{"rate_per_s": 0}, {"concurrency": -1}, {"allowed_addresses": ["10.0.0.1", "here"]}]
)
def test_no_limit_is_saved_if_one_is_invalid(app: App, wrong: dict[str, object]) -> None:
    limits = {"rate_per_s": 5, "concurrency": 2, "allowed_addresses": ["10.0.0.1"], **wrong}
    with pytest.raises(RuleError):
        set_limits(app, **limits)
    assert (app.rate_per_s, app.concurrency, app.allowed_addresses) == (None, None, [])
