"""The total and the months of quota that the order form shows (manual 2, the example)."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from django.test import Client

from accounts.models import App, Region
from billing.models import Sku
from console.context import RegionChoice
from console.forms_order import OrderForm, Quote

TENTH_OF_MARCH = datetime(2026, 3, 10, 15, 30, tzinfo=ZoneInfo("Asia/Shanghai"))


@pytest.fixture
def region(db: None) -> RegionChoice:
    return RegionChoice(1, "cn-sh6", "上海6")


def test_the_quote_equals_the_manuals_example(region: RegionChoice) -> None:
    """Two packages for three months, bought on 10 March."""
    answers = {"name": "门禁", "description": "一号楼", "api": "face_detect", "tier": "thousand"}
    form = OrderForm(answers | {"quantity": "2", "months": "3"}, app=None, region=region)
    quote = form.quote(TENTH_OF_MARCH)
    assert quote is not None
    assert quote.units_per_month == 2000
    assert quote.windows == [
        (date(2026, 3, 10), date(2026, 4, 9)),
        (date(2026, 4, 10), date(2026, 5, 9)),
        (date(2026, 5, 10), date(2026, 6, 9)),
    ]


def test_the_initial_form_shows_a_total(region: RegionChoice) -> None:
    sku = Sku.objects.get(api="face_compare", tier="ten_thousand")
    Sku.objects.filter(pk=sku.pk).update(price="1.10")
    initial = {"api": sku.api, "tier": sku.tier, "quantity": "3", "months": "2"}
    quote = OrderForm(app=None, region=region, initial=initial).quote(TENTH_OF_MARCH)
    assert isinstance(quote, Quote)
    assert str(quote.amount) == "6.60"


@pytest.mark.parametrize("bad", [{"quantity": "10"}, {"months": "7"}, {"api": "face_swap"}, {"tier": ""}])
def test_no_total_is_shown_for_invalid_input(region: RegionChoice, bad: dict[str, str]) -> None:
    answers = {"api": "face_detect", "tier": "thousand", "quantity": "2", "months": "3"} | bad
    for form in (
        OrderForm(answers, app=None, region=region),
        OrderForm(app=None, region=region, initial=answers),
    ):
        assert form.quote(TENTH_OF_MARCH) is None


@pytest.mark.parametrize(
    ("api", "specs"),
    [
        ("face_detect", ["千张/月|1,000 · 免费", "万张/月|10,000 · 免费", "十万张/月|100,000 · 免费"]),
        ("face_compare", ["千次/月|1,000 · 免费", "万次/月|10,000 · 免费", "十万次/月|100,000 · 免费"]),
    ],
)
def test_tiers_are_named_as_in_the_manual(region: RegionChoice, api: str, specs: list[str]) -> None:
    for form in (
        OrderForm({"api": api}, app=None, region=region),
        OrderForm(app=None, region=region, initial={"api": api}),
    ):
        assert [option.choice_label for option in form["tier"]] == specs


def test_each_tier_shows_its_price(region: RegionChoice) -> None:
    Sku.objects.filter(api="face_detect", tier="thousand").update(price="12.5")
    form = OrderForm(app=None, region=region, initial={"api": "face_detect"})
    assert next(option.choice_label for option in form["tier"]) == "千张/月|1,000 · 12.50 元/月"


def test_buying_again_starts_from_the_last_order(as_alice: Client, app: App) -> None:
    """Starts from the last order of the requested API; parameters of the address take precedence."""
    path = f"/console/orders/new/?app={app.app_id}"
    for query, api, quantity in (
        ("", "face_compare", 2),
        ("&api=face_detect", "face_detect", 2),
        ("&quantity=5", "face_compare", 5),
    ):
        form = as_alice.get(path + query).context["form"]
        assert (form["api"].value(), int(form["quantity"].value())) == (api, quantity)


def test_switching_the_region_orders_in_the_new_one(as_alice: Client) -> None:
    """Even on a page whose address names another region."""
    first = Region.objects.filter(is_active=True).first()
    assert first is not None
    other = Region.objects.create(code="cn-bj1", name="北京1", is_active=True)
    page = f"/console/orders/confirm/?name=门禁&description=x&api=face_detect&region={first.code}"
    reply = as_alice.post("/console/region/", {"region": other.code, "next": page})
    assert f"region={other.code}" in reply["Location"]
    assert "name=%E9%97%A8%E7%A6%81" in reply["Location"]
    assert "北京1" in as_alice.get(reply["Location"]).content.decode()


def test_only_tiers_on_sale_are_offered(region: RegionChoice) -> None:
    Sku.objects.filter(api="face_compare", tier="thousand").update(on_sale=False)
    for api, tiers in (
        ("face_detect", ["thousand", "ten_thousand", "hundred_thousand"]),
        ("face_compare", ["ten_thousand", "hundred_thousand"]),
    ):
        form = OrderForm(app=None, region=region, initial={"api": api})
        assert [tier for tier, _label in form.fields["tier"].choices] == tiers  # type: ignore[attr-defined]
        assert form["tier"].value() == tiers[0]


def test_changing_the_api_replaces_an_unavailable_tier(as_alice: Client) -> None:
    """If the tier is not on sale for the API, the quote selects one that is."""
    Sku.objects.filter(api="face_compare", tier="thousand").update(on_sale=False)
    sent = {
        "api": "face_compare",
        "tier": "thousand",
        "quantity": "1",
        "months": "1",
        "shown_api": "face_detect",
    }
    page = as_alice.get("/console/orders/quote/", sent).content.decode()
    assert "10,000" in page
    assert 'value="thousand"' not in page
    assert (
        'id="tiers"'
        not in as_alice.get("/console/orders/quote/", sent | {"shown_api": "face_compare"}).content.decode()
    )
