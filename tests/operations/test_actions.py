"""Each action applies its rule and is recorded with its reason, once; a refused one changes nothing."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Model
from django.test import Client

from accounts import audit, limits, roles
from accounts.keys import secret_of
from accounts.models import App, AuditEntry, Region, User
from billing import orders, quota
from billing.books import reconcile
from billing.models import Api, CatalogueChange, Duration, Order, Package, Sku, Voucher
from billing.payments import vouchers, wallet
from gallery import groups
from gallery.groups import Wanted
from gallery.models import Face, Group, TrailEntry
from gallery.trail import Actor
from operations.actions import previews, registry, restrictions
from tests.console.conftest import Place
from tests.gallery.conftest import store, template
from tests.operations.conftest import Login, World, call

pytestmark = pytest.mark.django_db

DONE, REFUSED = 302, 200  # refused: the form is shown again, with the error


def act(client: Client, name: str, subject: Model, reason: str = "asked by phone", /, **fields: Any) -> Any:
    sent = {"reason": reason, "token": uuid4(), "confirmed": "1", **fields}
    return client.post(f"/ops/acts/{name}/{subject.pk}/", sent, REMOTE_ADDR="203.0.113.5")


def written(name: str) -> AuditEntry:
    entry = AuditEntry.objects.get(act=name)
    assert entry.reason == "asked by phone"
    assert entry.address == "203.0.113.5"
    return entry


def no_breaks(at: datetime) -> bool:
    return not [broken for proof in reconcile.run(at) for broken in proof.breaks]


def test_a_top_up_is_applied_and_recorded(alice: User, log_in: Login, operators: dict[str, User]) -> None:
    assert act(log_in("finance"), "top-up", alice, amount="88.80").status_code == DONE
    assert wallet.balance(alice) == Decimal("88.80")
    entry = written("top-up")
    assert (entry.by, entry.customer, entry.subject_id) == (operators["finance"], alice, str(alice.pk))
    assert entry.details["amount"] == "88.80"


def test_a_form_is_applied_once(alice: User, log_in: Login) -> None:
    client, token = log_in("finance"), uuid4()
    for _click in range(3):
        assert act(client, "top-up", alice, amount="10", token=token).status_code == DONE
    assert wallet.balance(alice) == Decimal("10.00")
    assert AuditEntry.objects.filter(act="top-up").count() == 1
    client, repeated = log_in("support"), uuid4()
    for _click in range(3):
        act(client, "voucher", alice, face_value="7", valid_until="2099-01-01", token=repeated)
    assert Voucher.objects.filter(face_value=7).count() == 1


@pytest.mark.parametrize("reason", ["", "   "])
def test_an_action_needs_a_reason(alice: User, log_in: Login, reason: str) -> None:
    reply = act(log_in("finance"), "top-up", alice, reason, amount="10")
    assert reply.status_code == REFUSED
    assert wallet.balance(alice) == 0
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("amount", ["0", "-5", "1.234", "abc", ""])
def test_an_invalid_amount_is_reported(alice: User, log_in: Login, amount: str) -> None:
    reply = act(log_in("finance"), "top-up", alice, amount=amount)
    assert reply.status_code == REFUSED
    assert 'role="alert"' in reply.content.decode()
    assert not AuditEntry.objects.exists()


def test_a_voucher_is_issued_and_recorded(alice: User, log_in: Login) -> None:
    act(log_in("support"), "voucher", alice, face_value="30", valid_until="2099-01-01", apis=["face_detect"])
    voucher = Voucher.objects.get(customer=alice)
    assert (voucher.face_value, voucher.apis) == (Decimal("30.00"), ["face_detect"])
    assert written("voucher").details["voucher"] == voucher.masked_code
    late = act(log_in("support"), "voucher", alice, face_value="30", valid_until="2001-01-01")
    assert late.status_code == REFUSED


def test_only_an_unused_package_is_refunded(world: World, log_in: Login, place: Place, now: datetime) -> None:
    finance = log_in("finance")
    used = Package.objects.filter(periods__used__gt=0).first()
    assert used is not None
    refused = act(finance, "refund", used)
    assert refused.status_code == REFUSED
    assert "不能退款" in refused.content.decode()
    assert not AuditEntry.objects.exists()

    for _time in range(2):  # the first takes what is left of the voucher
        order = orders.pay(place(world.app.customer, Api.FACE_ANALYSE, app=world.app), now)
    before = wallet.balance(order.customer)
    assert order.cash_paid > 0
    assert act(finance, "refund", order.package).status_code == DONE
    assert wallet.balance(order.customer) == before + order.cash_paid
    assert written("refund").details["order"] == order.number
    assert act(finance, "refund", order.package).status_code == REFUSED
    assert AuditEntry.objects.count() == 1
    assert no_breaks(now)


def test_only_a_pending_order_is_cancelled(alice: User, log_in: Login, place: Place, world: World) -> None:
    order = place(alice)
    finance = log_in("finance")
    assert act(finance, "cancel", order).status_code == DONE
    assert Order.objects.get(pk=order.pk).state == "cancelled"
    assert act(finance, "cancel", order).status_code == REFUSED
    assert act(finance, "cancel", world.orders[0]).status_code == REFUSED
    assert AuditEntry.objects.filter(act="cancel").count() == 1


def test_an_extension_passes_reconcile(world: World, log_in: Login, now: datetime) -> None:
    package = Package.objects.get(order=world.orders[0])
    before = list(package.periods.order_by("number"))
    assert act(log_in("finance"), "extend", package, months="2").status_code == DONE
    package.refresh_from_db()
    after = list(package.periods.order_by("number"))
    assert len(after) == len(before) + 2
    assert package.ends_at == after[-1].ends_at
    assert [one.starts_at for one in after[1:]] == [one.ends_at for one in after[:-1]]
    assert {one.granted for one in after} == {package.units_per_period}
    assert no_breaks(now)
    left = quota.remaining(package.app, package.api, after[-1].starts_at + timedelta(days=1))
    assert left == package.units_per_period
    assert act(log_in("finance"), "extend", package, months="40").status_code == REFUSED


def test_an_extension_of_a_free_package_is_worth_the_current_price(world: World) -> None:
    package = Package.objects.get(order=world.orders[0])
    package.order.unit_price = package.order.amount = Decimal(0)
    package.order.sku.price = Decimal("5000.00")
    assert restrictions.worth("extend", package, {"months": 2}) == 10_000 * package.order.quantity


def test_limits_are_set_and_recorded(world: World, log_in: Login) -> None:
    admin = log_in("admin")
    addresses = "203.0.113.7\n2001:db8::/32, 10.1.2.3/8"
    act(admin, "limits", world.app, rate_per_s="20", concurrency="", allowed_addresses=addresses)
    app = App.objects.get(pk=world.app.pk)
    assert (app.rate_per_s, app.concurrency) == (20, None)
    assert app.allowed_addresses == ["203.0.113.7/32", "2001:db8::/32", "10.0.0.0/8"]
    assert written("limits").details["after"]["rate_per_s"] == 20
    reply = act(admin, "limits", world.app, allowed_addresses="not-an-address")
    assert reply.status_code == REFUSED
    assert "not-an-address" in reply.content.decode()


def shown_limits(client: Client, app: App) -> dict[str, str]:
    """Return what the browser sends for the form as it was shown, with its hidden copies."""
    page = client.get(f"/ops/acts/limits/{app.pk}/").context["form"]
    fields = ("rate_per_s", "concurrency", "face_limit", "allowed_addresses")
    values = {name: page[name].value() for name in fields}
    shown = {name: "" if value is None else str(value) for name, value in values.items()}
    assert 'name="initial-allowed_addresses"' in str(page["allowed_addresses"])
    return shown | {f"initial-{name}": value for name, value in shown.items()}


def test_limits_that_the_operator_did_not_change_are_not_written(world: World, log_in: Login) -> None:
    """The customer changes the App's addresses while an operator has the form open."""
    admin, app = log_in("admin"), world.app
    limits.allow_only(app, ["192.0.2.1"])
    shown = shown_limits(admin, app)
    limits.allow_only(app, ["192.0.2.1", "192.0.2.2"])
    assert act(admin, "limits", app, **{**shown, "rate_per_s": "7"}).status_code == DONE
    app.refresh_from_db()
    assert app.rate_per_s == 7
    assert app.allowed_addresses == ["192.0.2.1/32", "192.0.2.2/32"]
    assert written("limits").details["after"]["allowed_addresses"] == app.allowed_addresses


def test_addresses_that_were_changed_meanwhile_are_not_overwritten(world: World, log_in: Login) -> None:
    admin, app = log_in("admin"), world.app
    shown = shown_limits(admin, app)
    limits.allow_only(app, ["192.0.2.2"])
    reply = act(admin, "limits", app, **{**shown, "allowed_addresses": "192.0.2.9"})
    assert reply.status_code == REFUSED
    assert "刚刚被修改过" in reply.content.decode()
    app.refresh_from_db()
    assert app.allowed_addresses == ["192.0.2.2/32"]
    shown = shown_limits(admin, app)
    assert act(admin, "limits", app, **{**shown, "allowed_addresses": "192.0.2.9"}).status_code == DONE


def test_a_key_is_disabled_and_its_secret_is_not_shown(world: World, log_in: Login) -> None:
    admin, key = log_in("admin"), world.key
    assert act(admin, "disable-key", key).status_code == DONE
    key.refresh_from_db()
    assert key.disabled_at is not None
    assert act(admin, "disable-key", key).status_code == REFUSED
    for page in (
        f"/admin/accounts/appkey/{key.pk}/change/", "/admin/accounts/appkey/", f"/ops/desk/?q={key.key}",
        f"/admin/accounts/app/{world.app.pk}/change/",
    ):  # fmt: skip
        text = admin.get(page).content.decode()
        assert key.key in text
        assert secret_of(key) not in text
        assert key.secret_encrypted not in text


def test_changes_of_the_catalogue_are_recorded(log_in: Login, world: World, place: Place) -> None:
    finance, sku = log_in("finance"), Sku.objects.get(api="face_detect", tier="thousand")
    fields = {"price": "20.00", "units_per_month": sku.units_per_month, "meter": sku.meter, "on_sale": "on"}
    assert act(finance, "sku", sku, **fields).status_code == DONE
    sku.refresh_from_db()
    assert sku.price == Decimal("20.00")
    change = CatalogueChange.objects.filter(subject="sku", subject_id=sku.pk).first()
    assert change is not None
    assert (change.field, change.before, change.after, change.reason) == (
        "price", "12.50", "20.00", "asked by phone",
    )  # fmt: skip
    assert written("sku").details["after"] == {"price": "20.00"}
    seen = {"initial-price": "12.50", "initial-on_sale": "True"}  # of a form that was opened before
    assert act(finance, "sku", sku, **{**fields, "price": "12.50", "on_sale": ""}, **seen).status_code == DONE
    sku.refresh_from_db()
    assert (sku.price, sku.on_sale) == (Decimal("20.00"), False)
    assert act(finance, "sku", sku, **{**fields, "price": "15"}, **seen).status_code == REFUSED
    assert act(finance, "sku", sku, **{**fields, "price": "-1"}).status_code == REFUSED
    act(finance, "duration", Duration.objects.get(months=1), **{"initial-is_active": "True"})
    assert not Duration.objects.get(months=1).is_active
    region = Region.objects.first()
    assert region is not None
    act(finance, "region", region, name="上海7", name_en="Shanghai 7", position="0", is_active="on",
        queue="inference.cn-sh7")  # fmt: skip
    region.refresh_from_db()
    assert (region.name, region.queue) == ("上海7", "inference.cn-sh7")
    refused = act(finance, "region", region, name="上海7", name_en="", position="0", queue="scheduled")
    assert refused.status_code == REFUSED


def test_roles_are_assigned_and_accounts_closed_and_reopened(
    log_in: Login, alice: User, operators: dict[str, User]
) -> None:
    admin = log_in("admin")
    act(admin, "roles", alice, roles=["viewer"])
    assert roles.of(alice) == ["viewer"]
    assert written("roles").details == {"before": [], "after": ["viewer"]}
    act(admin, "close", alice)
    assert not User.objects.get(pk=alice.pk).is_active
    act(admin, "open", alice)
    assert User.objects.get(pk=alice.pk).is_active
    assert act(admin, "close", operators["admin"]).status_code == REFUSED


def test_the_sessions_of_a_closed_account_stay_ended_when_it_is_opened_again(
    log_in: Login, alice: User, as_alice: Client
) -> None:
    admin = log_in("admin")
    assert as_alice.get("/console/settings/").status_code == 200
    act(admin, "close", alice)
    assert as_alice.get("/console/settings/").status_code == 302
    act(admin, "open", alice)
    assert as_alice.get("/console/settings/").status_code == 302
    as_alice.force_login(User.objects.get(pk=alice.pk))
    assert as_alice.get("/console/settings/").status_code == 200


def test_the_galleries_of_a_customer_are_deleted(
    world: World, log_in: Login, operators: dict[str, User], now: datetime
) -> None:
    customer = world.app.customer
    admin = operators["admin"]

    def offered() -> set[str]:
        return {one.act.name for one in registry.available_actions(admin, customer)}

    assert "erase-gallery" not in offered()
    groups.add(world.app, [Wanted("staff", "员工")], now, Actor())
    store(world.app, "p", template(1), at=now)
    assert "erase-gallery" in offered()
    act(log_in("support"), "erase-gallery", customer)
    assert Face.objects.count() == 1
    changes = previews.of("erase-gallery", customer, {}, now)
    assert [(one.before, one.after) for one in changes] == [("1", "0"), ("1", "0")]  # groups and faces
    assert act(log_in("admin"), "erase-gallery", customer).status_code == DONE
    assert written("erase-gallery").details["faces"] == 1
    assert not Group.objects.exists()
    assert TrailEntry.objects.latest("pk").by == admin


def test_the_log_cannot_be_edited(alice: User, operators: dict[str, User], now: datetime) -> None:
    entry = audit.record("top-up", alice, by=operators["admin"], reason="why", at=now)
    for edit in (
        lambda: AuditEntry.objects.filter(pk=entry.pk).update(reason="another"),
        lambda: AuditEntry.objects.filter(pk=entry.pk).delete(),
        lambda: connection.cursor().execute("DELETE FROM accounts_auditentry"),
    ):
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            edit()
    with pytest.raises(IntegrityError, match="audit_has_reason"), transaction.atomic():
        AuditEntry.objects.create(at=now, by=operators["admin"], act="x", subject="user", subject_id="1")


def test_redirects_after_an_action_stay_on_this_site(alice: User, log_in: Login) -> None:
    finance = log_in("finance")
    there = act(finance, "top-up", alice, amount="1", next="/ops/desk/?q=alice")
    assert there["Location"] == "/ops/desk/?q=alice"
    foreign = act(finance, "top-up", alice, amount="1", next="https://evil.example/")
    assert foreign["Location"] == "/ops/desk/?q=alice"
    assert finance.get("/ops/acts/top-up/999999/").status_code == 404
    assert finance.get(f"/ops/acts/no-such-act/{alice.pk}/").status_code == 404


def test_a_call_in_an_extended_month_is_served(world: World, log_in: Login, now: datetime) -> None:
    package = Package.objects.get(order=world.orders[0])
    act(log_in("finance"), "extend", package, months="1")
    assert call(package.app, "face_detect", package.periods.latest("number").starts_at) is not None


def test_rows_are_created_by_actions(
    log_in: Login, operators: dict[str, User], alice: User, now: datetime
) -> None:
    support, finance = log_in("support"), log_in("finance")
    sent = {"reason": "asked by phone", "token": uuid4(), "confirmed": "1"}
    fields = {"face_value": "15", "valid_until": "2099-01-01", **sent}
    for _click in range(2):
        assert support.post("/ops/acts/voucher-code/", fields).status_code == DONE
    voucher = Voucher.objects.get()
    assert (voucher.customer, voucher.face_value) == (None, Decimal("15.00"))
    entry = AuditEntry.objects.get(act="voucher-code")
    assert (entry.subject, entry.subject_id, entry.customer) == ("voucher", str(voucher.pk), None)
    assert vouchers.redeem(alice, voucher.code, now).customer == alice

    region = {
        "code": "cn-bj1",
        "name": "北京1",
        "name_en": "Beijing 1",
        "position": "9",
        "queue": "inference",
        **sent,
        "token": uuid4(),
    }
    assert support.post("/ops/acts/add-region/", region).status_code == 403
    assert finance.post("/ops/acts/add-region/", region).status_code == DONE
    assert Region.objects.get(code="cn-bj1").is_active
    again = finance.post("/ops/acts/add-region/", {**region, "token": uuid4()})
    assert again.status_code == REFUSED
    assert Region.objects.filter(code="cn-bj1").count() == 1
    months = {"months": "12", **sent, "token": uuid4()}
    assert finance.post("/ops/acts/add-duration/", months).status_code == DONE
    assert Duration.objects.get(months=12).is_active
    assert "/ops/acts/add-duration/" in finance.get("/admin/billing/duration/").content.decode()
    assert "/ops/acts/add-duration/" not in support.get("/admin/billing/duration/").content.decode()
    assert support.get("/ops/acts/voucher/").status_code == 404
    assert finance.get("/ops/acts/add-region/1/").status_code == 404
