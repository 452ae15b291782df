"""The catalogue: seeded from the manual's table, changed with a history."""

from decimal import Decimal

import pytest
from django.db import connection
from django.utils import translation

from accounts.models import Region, User
from billing import catalogue, orders, packages
from billing.errors import ChangeRefused, ReasonMissing
from billing.models import CatalogueChange, Duration, Meter, Sku
from billing.models.catalogue import MAX_PRICE, MAX_UNITS
from billing.payments import wallet
from tests.billing.conftest import NOON, Shop

UNITS = {"thousand": 1_000, "ten_thousand": 10_000, "hundred_thousand": 100_000}


@pytest.mark.django_db
def test_the_seed_equals_the_manuals_table() -> None:
    rows = Sku.objects.values_list("api", "tier", "units_per_month", "meter", "price", "on_sale")
    assert set(rows) == {
        (api, tier, units, "calls" if api == "face_compare" else "images", Decimal("0.00"), True)
        for api in ("face_detect", "face_analyse", "face_compare", "face_search")
        for tier, units in UNITS.items()
    }
    assert list(Duration.objects.values_list("months", flat=True)) == [1, 2, 3]
    assert Region.objects.filter(is_active=True).first().name == "上海6"


@pytest.mark.django_db
def test_specs_are_worded_as_in_the_manual() -> None:
    specs = {str(sku) for sku in Sku.objects.all()}
    assert {"人脸检测定位 千张/月", "人脸属性识别 万张/月", "人脸比对 十万次/月"} <= specs


@pytest.mark.parametrize(
    ("value", "shown"),
    [("0", "¥0.00"), ("1234.5", "¥1,234.50"), ("-2", "-¥2.00"), ("9999999999.99", "¥9,999,999,999.99")],
)
def test_amounts_are_formatted_as_yuan(value: str, shown: str) -> None:
    assert catalogue.yuan(Decimal(value)) == shown


def test_a_change_has_a_history(olga: User) -> None:
    sku = Sku.objects.get(api="face_detect", tier="thousand")
    catalogue.change(
        sku,
        {"price": Decimal("9.90"), "on_sale": True, "units_per_month": 2000},
        by=olga,
        reason="2027",
        at=NOON,
    )
    assert (sku.price, sku.units_per_month) == (Decimal("9.90"), 2000)
    history = CatalogueChange.objects.order_by("field").values_list(
        "subject", "field", "before", "after", "reason"
    )
    assert list(history) == [
        ("sku", "price", "0.00", "9.90", "2027"),
        ("sku", "units_per_month", "1000", "2000", "2027"),
    ]
    assert CatalogueChange.objects.filter(by=olga, at=NOON, subject_id=sku.pk).count() == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"price": "-1"},
        {"price": "1.001"},
        {"units_per_month": 0},
        {"meter": "hours"},
        {"meter": "pairs"},  # which a single picture has none of: its calls would cost nothing
        {"units_per_month": 200_000_001},  # nine of it would not fit the column that they are granted in
        {"price": "10000000.01"},
        {"api": "face_compare"},
    ],
)
def test_invalid_catalogue_values_are_rejected(olga: User, wrong: dict[str, object]) -> None:
    sku = Sku.objects.get(api="face_detect", tier="thousand")
    with pytest.raises(ChangeRefused):
        catalogue.change(sku, {"on_sale": False, **wrong}, by=olga, reason="2027", at=NOON)
    sku.refresh_from_db()
    assert sku.on_sale
    assert not CatalogueChange.objects.exists()


def test_the_largest_catalogue_values_can_be_ordered_and_paid(alice: User, olga: User, shop: Shop) -> None:
    catalogue.add(Duration(months=36), by=olga, reason="3 years", at=NOON)
    sku = Sku.objects.get(api="face_detect", tier="thousand")
    catalogue.change(sku, {"units_per_month": MAX_UNITS, "price": MAX_PRICE}, by=olga, reason="most", at=NOON)
    order = shop.order(alice, quantity=9, months=36, units=MAX_UNITS, price=str(MAX_PRICE))
    wallet.top_up(alice, order.amount, by=olga, reason="transfer", at=NOON)
    assert orders.pay(order, NOON).package.periods.first().granted == 9 * MAX_UNITS


def test_two_regions_never_share_a_name(olga: User) -> None:
    first, second = Region.objects.all()[:2]
    with pytest.raises(ChangeRefused) as refused:
        catalogue.change(second, {"name": first.name}, by=olga, reason="renamed", at=NOON)
    assert refused.value.details["field"] == "name"


def test_a_change_has_a_reason(olga: User) -> None:
    with pytest.raises(ReasonMissing):
        catalogue.change(Duration.objects.first(), {"is_active": False}, by=olga, reason="", at=NOON)


def test_durations_and_regions_can_be_added(olga: User) -> None:
    catalogue.add(Duration(months=12), by=olga, reason="yearly", at=NOON)
    catalogue.add(Region(code="cn-bj1", name="北京1", name_en="Beijing 1"), by=olga, reason="opened", at=NOON)
    assert CatalogueChange.objects.count() == 2
    for wrong in (Duration(months=12), Duration(months=37)):
        with pytest.raises(ChangeRefused):
            catalogue.add(wrong, by=olga, reason="again", at=NOON)


def test_the_summary_is_correct_in_both_languages(alice: User, shop: Shop, call) -> None:
    app = shop.buy(alice, quantity=2)
    shop.buy(alice, app=app)
    shop.buy(alice, app=app, api="face_compare")
    call(app, NOON, 30)
    detect, compare = packages.summary([app], NOON)
    assert (detect.remaining, detect.granted, detect.used) == (2970, 3000, 30)
    assert detect.spec == "千张/月 × 3"
    assert (compare.api_label, compare.spec, compare.remaining) == ("人脸比对", "千次/月 × 1", 1000)
    with translation.override("en"):
        assert detect.specs == [("thousand", Meter.IMAGES, 3)]


def test_the_summary_omits_a_package_paid_for_between_its_queries(alice: User, shop: Shop) -> None:
    app = shop.buy(alice)

    def after_the_first_query(execute, sql, *rest):
        if "billing_period" in sql and not app.packages.filter(api="face_compare").exists():
            shop.buy(alice, app=app, api="face_compare")
        return execute(sql, *rest)

    with connection.execute_wrapper(after_the_first_query):
        rows = packages.summary([app], NOON)
    assert [row.api for row in rows] == ["face_detect"]
    assert [row.api for row in packages.summary([app], NOON)] == ["face_detect", "face_compare"]


def test_the_summary_takes_three_queries_for_any_number_of_apps(
    alice: User, shop: Shop, django_assert_num_queries
) -> None:
    apps = [shop.buy(alice) for _i in range(4)]
    with django_assert_num_queries(3):
        rows = packages.summary(apps, NOON)
    assert [row.app for row in rows] == apps
