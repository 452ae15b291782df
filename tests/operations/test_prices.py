"""The whole price table is edited at once, with a preview; it takes effect immediately or at a given time."""

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from playwright.sync_api import expect

from accounts import roles
from accounts.models import AuditEntry, Region, User
from billing import catalogue, orders, tasks
from billing.errors import ChangedMeanwhile, ChangeRefused, PriceChanged
from billing.models import CatalogueChange, Order, ScheduledChange, Sku
from billing.orders import OrderRequest
from tests import purchases
from tests.console.conftest import PASSWORD, Visitor
from tests.operations.conftest import Login

pytestmark = pytest.mark.django_db
NOON = datetime.fromisoformat("2026-07-15T12:00:00+08:00")
MIDNIGHT = datetime.fromisoformat("2026-08-01T00:00:00+08:00")


@pytest.fixture
def sku() -> Sku:
    return Sku.objects.get(api="face_detect", tier="thousand")


def fields_of(client: Client) -> dict[str, Any]:
    """Return what the browser would send for the unchanged form."""
    form = client.get("/ops/prices/").context["form"]
    values = {name: form[name].value() for name in form.fields}
    sent = {name: "on" if value is True else value for name, value in values.items()}
    return {name: value for name, value in sent.items() if value is not None and value is not False}


def test_a_preview_changes_nothing_and_a_confirmation_everything(log_in: Login, sku: Sku) -> None:
    finance = log_in("finance")
    other = Sku.objects.get(api="face_compare", tier="thousand")
    sent = {
        **fields_of(finance),
        f"{sku.pk}-price": "20",
        f"{other.pk}-units_per_month": "1200",
        "reason": "new",
    }
    preview = finance.post("/ops/prices/", sent)
    rows = preview.context["rows"]
    assert [(row.before, row.after) for row in rows if "20.00" in row.after] == [("0.00 元", "20.00 元")]
    assert [row.change.text for row in rows if row.after == "1,200"] == ["+20%"]
    assert not CatalogueChange.objects.exists()
    for _click in range(2):
        done = finance.post("/ops/prices/", {**dict(preview.context["sent"]), "confirmed": "1"})
    assert done.status_code in (200, 302)
    sku.refresh_from_db()
    other.refresh_from_db()
    assert (sku.price, other.units_per_month) == (Decimal("20.00"), 1200)
    assert CatalogueChange.objects.count() == 2
    assert AuditEntry.objects.filter(act="prices").count() == 2
    assert "20.00 元" in finance.get("/ops/prices/").content.decode()
    assert log_in("support").get("/ops/prices/").status_code == 403


def test_an_unchanged_table_and_an_invalid_value_are_reported(log_in: Login, sku: Sku) -> None:
    finance = log_in("finance")
    same = {**fields_of(finance), "reason": "x"}
    assert "没有修改" in finance.post("/ops/prices/", same).content.decode()
    for wrong in ({f"{sku.pk}-price": "-1"}, {"effective_at": "2001-01-01T00:00"}, {"reason": ""}):
        reply = finance.post("/ops/prices/", {**same, f"{sku.pk}-price": "3", **wrong, "confirmed": "1"})
        assert reply.status_code == 200
    pairs = {**same, f"{sku.pk}-meter": "pairs"}  # allowed for face_compare only
    assert "目录不能采用这个值" in finance.post("/ops/prices/", pairs).content.decode()
    assert not CatalogueChange.objects.exists()


def shown(client: Client) -> dict[str, Any]:
    """Return the hidden controls of the table: the values that it showed."""
    page = client.get("/ops/prices/").content.decode()
    return dict(re.findall(r'<input type="hidden" name="(initial-[^"]+)" value="([^"]*)"', page))


def test_a_table_does_not_revert_what_was_changed_after_it_was_shown(
    log_in: Login, operators: dict[str, User], sku: Sku
) -> None:
    finance = log_in("finance")
    other = Sku.objects.get(api="face_compare", tier="thousand")
    sent = {**fields_of(finance), **shown(finance), f"{other.pk}-price": "7", "reason": "mine"}
    rows = finance.post("/ops/prices/", sent).context["rows"]
    assert [row.after for row in rows] == ["7.00 元"]
    catalogue.change(sku, {"price": Decimal("20")}, by=operators["finance"], reason="theirs", at=NOON)
    assert finance.post("/ops/prices/", {**sent, "confirmed": "1"}).status_code == 302
    sku.refresh_from_db()
    other.refresh_from_db()
    assert (sku.price, other.price) == (Decimal("20.00"), Decimal("7.00"))


@pytest.mark.parametrize("confirmed", [{}, {"confirmed": "1"}])
def test_a_field_that_was_changed_meanwhile_is_not_overwritten(
    log_in: Login, operators: dict[str, User], sku: Sku, confirmed: dict[str, str]
) -> None:
    finance = log_in("finance")
    sent = {**fields_of(finance), **shown(finance), f"{sku.pk}-price": "7", "reason": "mine", **confirmed}
    catalogue.change(sku, {"price": Decimal("20")}, by=operators["finance"], reason="theirs", at=NOON)
    assert "目录刚刚被修改过" in finance.post("/ops/prices/", sent).content.decode()
    sku.refresh_from_db()
    assert sku.price == Decimal("20.00")


def test_a_change_under_the_lock_compares_what_was_seen(operators: dict[str, User], sku: Sku) -> None:
    by = operators["finance"]
    with pytest.raises(ChangedMeanwhile):
        catalogue.change(sku, {"price": Decimal(7)}, by=by, reason="x", at=NOON, seen={"price": Decimal(5)})
    catalogue.change(sku, {"price": Decimal(7)}, by=by, reason="x", at=NOON, seen={"price": Decimal(0)})
    assert Sku.objects.get(pk=sku.pk).price == 7


def test_a_scheduled_price_takes_effect_at_its_time(
    alice: User, log_in: Login, operators: dict[str, User], sku: Sku, time_machine: Any
) -> None:
    time_machine.move_to(NOON, tick=False)
    finance = log_in("finance")
    sent = {
        **fields_of(finance), f"{sku.pk}-price": "9.90", "reason": "August",
        "effective_at": "2026-08-01T00:00",
    }  # fmt: skip
    finance.post("/ops/prices/", {**sent, "confirmed": "1"})
    change = ScheduledChange.objects.get()
    assert (change.effective_at, change.after) == (MIDNIGHT, "9.90")
    assert "9.90 元" in finance.get("/ops/prices/").content.decode()
    before = purchases.place(alice, at=MIDNIGHT - timedelta(seconds=1))
    assert before.unit_price == 0
    # An order from that moment on has the new price, whether or not the scheduled task has run.
    after = purchases.place(alice, at=MIDNIGHT)
    assert after.unit_price == Decimal("9.90")
    assert Order.objects.get(pk=before.pk).unit_price == 0
    written = CatalogueChange.objects.get()
    assert (written.at, written.by, written.reason, written.after) == (
        MIDNIGHT, operators["finance"], "August", "9.90",
    )  # fmt: skip
    change.refresh_from_db()
    assert change.applied_at is not None
    time_machine.move_to(MIDNIGHT + timedelta(minutes=1), tick=False)
    tasks.apply_scheduled_changes()
    assert CatalogueChange.objects.count() == 1


def test_an_order_at_the_old_price_is_refused(alice: User, operators: dict[str, User], sku: Sku) -> None:
    (edit,) = catalogue.edits({sku.pk: {"price": Decimal("5")}})
    catalogue.schedule([edit], MIDNIGHT, by=operators["finance"], reason="x", at=NOON)
    wanted = OrderRequest(sku, 1, 1, region=Region.objects.first(), name="门禁", description="一号楼")
    with pytest.raises(PriceChanged):
        orders.create(alice, wanted, token="t", at=MIDNIGHT, seen_amount=Decimal(0))


def test_a_scheduled_change_is_cancelled(log_in: Login, operators: dict[str, User], sku: Sku) -> None:
    now = timezone.now()
    (edit,) = catalogue.edits({sku.pk: {"price": Decimal("5")}})
    (change,) = catalogue.schedule(
        [edit], now + timedelta(days=1), by=operators["finance"], reason="x", at=now
    )
    finance, path = log_in("finance"), f"/ops/prices/{change.pk}/cancel/"
    asked = finance.post(path)
    assert asked.status_code == 200  # without JavaScript it is confirmed on a page
    assert "取消这项定时修改" in asked.content.decode()
    finance.post(path, {"confirmed": "1"})
    assert catalogue.apply_due(now + timedelta(days=2)) == 0
    sku.refresh_from_db()
    assert sku.price == 0
    assert AuditEntry.objects.filter(act="prices-cancel").count() == 1


def test_a_scheduled_change_that_the_catalogue_refuses_is_recorded(
    operators: dict[str, User], sku: Sku
) -> None:
    by = operators["finance"]
    (edit,) = catalogue.edits({sku.pk: {"price": Decimal("5")}})
    with pytest.raises(ChangeRefused):
        catalogue.schedule([edit], NOON, by=by, reason="x", at=NOON)
    (change,) = catalogue.schedule([edit], MIDNIGHT, by=by, reason="x", at=NOON)
    ScheduledChange.objects.filter(pk=change.pk).update(after="-3")
    assert catalogue.apply_due(MIDNIGHT) == 1
    change.refresh_from_db()
    assert change.failure
    assert change.applied_at is None
    assert catalogue.apply_due(MIDNIGHT) == 0


@pytest.mark.browser
def test_prices_are_changed_in_a_browser(visitor: Visitor, operators: dict[str, User], sku: Sku) -> None:
    fiona = User.objects.create_user("fiona", "fiona@example.org", PASSWORD)
    roles.assign(fiona, ["finance"])
    page = visitor.page
    visitor.log_in(fiona)
    visitor.open("/ops/prices/")
    assert visitor.axe() == []
    page.locator(f"#id_{sku.pk}-price").fill("20")
    page.get_by_label("原因").fill("新价格")
    visitor.press("预览修改")
    expect(page.locator("main")).to_contain_text("20.00 元")
    assert visitor.axe() == []
    visitor.press("确认修改")
    expect(page.get_by_text("修改已生效。")).to_be_visible()
    sku.refresh_from_db()
    assert sku.price == 20
