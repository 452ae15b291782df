"""What an order comes to before it is one: the live total and the months of quota (manual 2, the example)."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from billing.models import Sku
from console.forms_order import OrderForm, Quote
from console.shell import RegionChoice

TENTH_OF_MARCH = datetime(2026, 3, 10, 15, 30, tzinfo=ZoneInfo("Asia/Shanghai"))


@pytest.fixture
def region(db: None) -> RegionChoice:
    return RegionChoice(1, "cn-sh6", "上海6")


def test_the_manuals_example(region: RegionChoice) -> None:
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


def test_a_form_that_was_not_sent_has_a_total_too(region: RegionChoice) -> None:
    sku = Sku.objects.get(api="face_compare", tier="ten_thousand")
    Sku.objects.filter(pk=sku.pk).update(price="1.10")
    initial = {"api": sku.api, "tier": sku.tier, "quantity": "3", "months": "2"}
    quote = OrderForm(app=None, region=region, initial=initial).quote(TENTH_OF_MARCH)
    assert isinstance(quote, Quote)
    assert str(quote.amount) == "6.60"


@pytest.mark.parametrize("bad", [{"quantity": "10"}, {"months": "7"}, {"api": "face_swap"}, {"tier": ""}])
def test_there_is_no_total_while_an_answer_is_bad(region: RegionChoice, bad: dict[str, str]) -> None:
    answers = {"api": "face_detect", "tier": "thousand", "quantity": "2", "months": "3"} | bad
    for form in (
        OrderForm(answers, app=None, region=region),
        OrderForm(app=None, region=region, initial=answers),
    ):
        assert form.quote(TENTH_OF_MARCH) is None


@pytest.mark.parametrize(
    ("api", "specs"),
    [
        ("face_detect", ["千张/月|1,000", "万张/月|10,000", "十万张/月|100,000"]),
        ("face_compare", ["千次/月|1,000", "万次/月|10,000", "十万次/月|100,000"]),
    ],
)
def test_the_specs_are_the_manuals(region: RegionChoice, api: str, specs: list[str]) -> None:
    for form in (
        OrderForm({"api": api}, app=None, region=region),
        OrderForm(app=None, region=region, initial={"api": api}),
    ):
        assert [option.choice_label for option in form["tier"]] == specs
