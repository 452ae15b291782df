"""Demo data of a first start: complete, and kept by later starts."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts import keys
from accounts.models import App, User
from billing import packages
from billing.management import demo
from billing.models import Order, Package, Sku
from billing.payments import refunds
from tests.billing.conftest import NOON, Shop, breaks

pytestmark = pytest.mark.django_db


def test_the_demo_has_a_customer_with_all_apis_and_an_operator() -> None:
    made = demo.seed(NOON, password="known to the test")
    customer = User.objects.get(username=made["FACECLOUD_USER"])
    assert made["FACECLOUD_PASSWORD"] == "known to the test"
    assert customer.check_password("known to the test")
    assert not customer.is_staff
    operator = User.objects.get(username=made["FACECLOUD_OPERATOR"])
    assert operator.is_superuser
    assert operator.check_password(made["FACECLOUD_OPERATOR_PASSWORD"])
    key = keys.live_key(made["FACECLOUD_APP_KEY"], NOON)
    assert key is not None
    assert keys.secret_of(key) == made["FACECLOUD_SECRET_KEY"]
    rows = packages.summary([key.app], NOON)
    assert [(row.api, row.remaining) for row in rows] == [
        (api, 100_000) for api in ("face_detect", "face_analyse", "face_compare", "face_search")
    ]
    assert {str(order.amount) for order in Order.objects.all()} == {"0.00"}
    assert not breaks()


def test_seeding_again_changes_nothing() -> None:
    first = demo.seed(NOON)
    again = demo.seed(NOON + timedelta(days=20), password="another")
    assert "FACECLOUD_PASSWORD" not in again
    assert again == {name: value for name, value in first.items() if "_PASSWORD" not in name}
    assert (App.objects.count(), Order.objects.count(), User.objects.count()) == (1, 4, 2)
    assert User.objects.get(username="demo").check_password(first["FACECLOUD_PASSWORD"])


def test_an_ended_package_is_ordered_again() -> None:
    demo.seed(NOON)
    later = NOON + timedelta(days=100)
    demo.seed(later)
    assert (App.objects.count(), Order.objects.count()) == (1, 8)
    assert [row.remaining for row in packages.summary(App.objects.all(), later)] == [100_000] * 4


def test_a_refunded_package_is_ordered_again() -> None:
    demo.seed(NOON)
    operator = User.objects.get(username="operator")
    package = Package.objects.get(api="face_detect")
    refunds.refund(package, by=operator, reason="tried it out", at=NOON)
    demo.seed(NOON)
    assert [row.remaining for row in packages.summary(App.objects.all(), NOON)] == [100_000] * 4


def test_the_demo_app_has_all_apis_whatever_the_customer_bought_elsewhere(shop: Shop) -> None:
    first = demo.seed(NOON)
    later = NOON + timedelta(days=100)
    shop.buy(User.objects.get(username="demo"), later)  # for another App
    demo.seed(later)
    key = keys.live_key(first["FACECLOUD_APP_KEY"], later)
    assert key is not None
    assert [row.remaining for row in packages.summary([key.app], later)] == [100_000] * 4


def test_an_ended_package_that_is_no_longer_free_is_not_ordered_again() -> None:
    first = demo.seed(NOON)
    Sku.objects.update(price=1)
    again = demo.seed(NOON + timedelta(days=100))
    assert again["FACECLOUD_APP_KEY"] == first["FACECLOUD_APP_KEY"]
    assert Order.objects.count() == 4


def test_a_disabled_key_is_replaced() -> None:
    first = demo.seed(NOON)
    key = keys.live_key(first["FACECLOUD_APP_KEY"], NOON)
    assert key is not None
    keys.disable(key, NOON)
    assert demo.seed(NOON)["FACECLOUD_APP_KEY"] != first["FACECLOUD_APP_KEY"]


def test_the_command_prints_the_keys_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACECLOUD_PASSWORD", "from the environment")
    output = StringIO()
    call_command("seed_demo", "--json", stdout=output)
    made = json.loads(output.getvalue())
    assert made["FACECLOUD_PASSWORD"] == "from the environment"
    assert keys.live_key(made["FACECLOUD_APP_KEY"], timezone.now()) is not None
