"""Operators: no own accounts, a second approval, masked codes, protected superusers."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from pytest_django import Settings

from accounts import approvals, audit, roles
from accounts.errors import RuleError
from accounts.models import AuditEntry, PendingAct, User
from accounts.models.operators import State
from billing import orders
from billing.errors import VoucherRefused
from billing.models import Api, Package, Voucher
from billing.payments import refunds, vouchers, wallet
from operations.actions.registry import ACTIONS
from tests.console.conftest import Place
from tests.operations.conftest import Login, World

pytestmark = pytest.mark.django_db

DONE, REFUSED = 302, 200
FIELDS: dict[str, Any] = {
    "amount": "5", "face_value": "5", "valid_until": "2099-01-01", "months": "1", "roles": ["admin"],
    "rate_per_s": "9", "name": "x", "price": "0",
}  # fmt: skip


def act(client: Client, name: str, pk: int | None, **fields: Any) -> Any:
    address = f"/ops/acts/{name}/{pk}/" if pk is not None else f"/ops/acts/{name}/"
    return client.post(
        address, {**FIELDS, "reason": "by phone", "token": uuid4(), "confirmed": "1", **fields}
    )


@pytest.fixture
def second(operators: dict[str, User]) -> Client:
    """Create another operator with the finance role."""
    user = User.objects.create_user("op-finance-2", "finance2@example.org")
    roles.assign(user, ["finance"])
    client = Client()
    client.force_login(user)
    return client


# --- own accounts -------------------------------------------------------------------


def test_operators_cannot_act_on_their_own_account(
    as_admin: Client, operators: dict[str, User], place: Place, now: datetime
) -> None:
    me = operators["admin"]
    wallet.top_up(me, Decimal("100"), by=operators["finance"], reason="x", at=now)
    bought = orders.pay(place(me, Api.FACE_DETECT), now)
    pending = place(me, Api.FACE_DETECT, app=bought.app)
    assert bought.app is not None
    key = bought.app.keys.get()
    rows = {
        "User": me.pk, "Package": bought.package.pk, "Order": pending.pk, "App": bought.app.pk,
        "AppKey": key.pk,
    }  # fmt: skip
    tried = 0
    for name, one in ACTIONS.items():
        if one.model.__name__ in rows and not one.creates:
            reply = act(as_admin, name, rows[one.model.__name__])
            assert reply.status_code == REFUSED, name
            assert "不能对自己的账号" in reply.content.decode(), name
            tried += 1
    assert tried >= 9
    assert not AuditEntry.objects.exists()
    assert wallet.balance(me) == 100
    assert "/ops/acts/" not in as_admin.get(f"/admin/accounts/user/{me.pk}/change/").content.decode()


def test_domain_functions_refuse_the_own_account_too(
    operators: dict[str, User], place: Place, now: datetime
) -> None:
    """Other code may act for an operator without operations/actions."""
    me, other = operators["finance"], operators["admin"]
    wallet.top_up(me, Decimal("100"), by=other, reason="x", at=now)
    package = orders.pay(place(me, Api.FACE_DETECT), now).package
    value, tomorrow = Decimal(5), now + timedelta(days=1)
    writes: list[Callable[[], object]] = [
        lambda: wallet.top_up(me, value, by=me, reason="x", at=now),
        lambda: vouchers.issue(
            face_value=value, valid_from=now, valid_until=tomorrow, by=me, reason="x", at=now, customer=me
        ),
        lambda: refunds.refund(package, by=me, reason="x", at=now),
        lambda: audit.record("suspend", me, by=me, reason="x", at=now, customer=me),
    ]
    for write in writes:
        with pytest.raises(RuleError) as caught:
            write()
        assert caught.value.code == "own_account"
    assert wallet.balance(me) == 100
    assert not Voucher.objects.exists()


def test_operators_cannot_redeem_codes(
    log_in: Login, operators: dict[str, User], alice: User, now: datetime
) -> None:
    code = vouchers.issue(
        face_value=Decimal("5"), valid_from=now, valid_until=now + timedelta(days=9), by=operators["support"],
        reason="x", at=now,
    ).code  # fmt: skip
    for operator in operators.values():
        with pytest.raises(VoucherRefused):
            vouchers.redeem(operator, code, now)
    roles.assign(operators["support"], [])  # the issuer, who has lost the role since
    with pytest.raises(VoucherRefused):
        vouchers.redeem(User.objects.get(username="op-support"), code, now)
    assert vouchers.redeem(alice, code, now).customer == alice


def test_superusers_cannot_be_changed(as_admin: Client, operators: dict[str, User]) -> None:
    root = User.objects.create_superuser("root", "root@example.org")
    for name in ("roles", "close", "top-up", "voucher"):
        reply = act(as_admin, name, root.pk, roles=[])
        assert reply.status_code == REFUSED, name
    root.refresh_from_db()
    assert root.is_active
    assert roles.of(root) == []
    other = User.objects.create_superuser("root2", "root2@example.org")
    client = Client()
    client.force_login(other)
    assert act(client, "close", root.pk).status_code == DONE


# --- codes ---------------------------------------------------------------------------


def test_a_code_is_shown_once_to_its_issuer_and_masked_elsewhere(
    log_in: Login, operators: dict[str, User]
) -> None:
    support, admin = log_in("support"), log_in("admin")
    made = act(support, "voucher-code", None, face_value="7")
    assert made.status_code == DONE
    voucher = Voucher.objects.get()
    once = support.get(made["Location"]).content.decode()
    assert voucher.code in once
    pages = [
        "/admin/billing/voucher/",
        f"/admin/billing/voucher/{voucher.pk}/change/",
        "/admin/accounts/auditentry/",
        f"/admin/accounts/auditentry/{AuditEntry.objects.get().pk}/change/",
        "/ops/approvals/",
    ]  # fmt: skip
    for page in pages:
        text = admin.get(page).content.decode()
        assert voucher.code not in text, page
        assert voucher.code.replace("-", "") not in text, page
    assert voucher.masked_code in admin.get(pages[0]).content.decode()
    assert voucher.code not in str(AuditEntry.objects.get().details)
    assert (
        f"/admin/billing/voucher/{voucher.pk}/" in admin.get(pages[0], {"q": voucher.code}).content.decode()
    )
    for part in (voucher.code[:4], voucher.code[:9], voucher.code[5:]):
        assert f"/voucher/{voucher.pk}/" not in admin.get(pages[0], {"q": part}).content.decode()


def test_whole_codes_of_old_audit_entries_are_masked(
    as_admin: Client, operators: dict[str, User], now: datetime
) -> None:
    entry = audit.record(
        "voucher-code", operators["viewer"], by=operators["support"], reason="x", at=now,
        details={"voucher": "ABCD-EFGH-JKLM-NPQR"},
    )  # fmt: skip
    text = as_admin.get(f"/admin/accounts/auditentry/{entry.pk}/change/").content.decode()
    assert "ABCD" not in text
    assert "NPQR" in text


# --- approval by a second operator ---------------------------------------------------


def test_a_large_top_up_waits_for_another_operator(
    alice: User, log_in: Login, second: Client, operators: dict[str, User]
) -> None:
    finance, token = log_in("finance"), uuid4()
    for _click in range(2):
        reply = act(finance, "top-up", alice.pk, amount="10000.01", token=token)
        assert reply["Location"] == "/ops/approvals/"
    assert wallet.balance(alice) == 0
    asked = PendingAct.objects.get()
    assert (asked.act, asked.worth, asked.by, asked.state) == (
        "top-up", Decimal("10000.01"), operators["finance"], State.PENDING,
    )  # fmt: skip
    address = f"/ops/approvals/{asked.pk}/"

    for client in (finance, log_in("support"), log_in("viewer")):  # the requester; roles that may not top up
        client.post(address, {"decision": "approved", "confirmed": "1"})
        assert wallet.balance(alice) == 0
    assert "批准并执行" not in finance.get("/ops/approvals/").content.decode()
    assert "批准并执行" in second.get("/ops/approvals/").content.decode()
    for _click in range(2):
        second.post(address, {"decision": "approved", "confirmed": "1"}, REMOTE_ADDR="203.0.113.7")
    assert wallet.balance(alice) == Decimal("10000.01")
    entry = AuditEntry.objects.get(act="top-up")
    assert (entry.by.username, entry.address) == ("op-finance-2", "203.0.113.7")
    assert entry.details["requested_by"] == "op-finance"
    assert AuditEntry.objects.filter(act="approval-ask", by=operators["finance"]).count() == 1
    (booked,) = wallet.statement(alice)
    assert booked.by == operators["finance"]


def test_small_top_ups_are_added_up(alice: User, bob: User, log_in: Login) -> None:
    finance = log_in("finance")
    for amount in ("6000", "4000"):
        act(finance, "top-up", alice.pk, amount=amount)
    assert wallet.balance(alice) == 10_000
    assert act(finance, "top-up", alice.pk, amount="0.01")["Location"] == "/ops/approvals/"
    assert wallet.balance(alice) == 10_000
    assert act(finance, "top-up", bob.pk, amount="10")["Location"] != "/ops/approvals/"


@pytest.mark.parametrize("name", ["voucher", "voucher-code"])
def test_a_large_voucher_waits_too(name: str, alice: User, log_in: Login, operators: dict[str, User]) -> None:
    pk = None if name == "voucher-code" else alice.pk
    act(log_in("support"), name, pk, face_value="10000.01")
    assert not Voucher.objects.exists()
    reply = log_in("admin").post(
        f"/ops/approvals/{PendingAct.objects.get().pk}/",
        {"decision": "approved", "confirmed": "1"},
        follow=True,
    )
    voucher = Voucher.objects.get()
    assert voucher.created_by == operators["support"]
    assert (voucher.code in reply.content.decode()) == (name == "voucher-code")


def test_a_large_refund_and_a_long_extension_wait_too(
    world: World, log_in: Login, place: Place, now: datetime, settings: Settings, second: Client
) -> None:
    settings.APPROVAL_ABOVE_YUAN = Decimal("12")
    order = orders.pay(place(world.app.customer, Api.FACE_ANALYSE, app=world.app), now)
    assert order.amount > 12
    finance = log_in("finance")
    act(finance, "extend", order.package.pk, months="3")
    act(finance, "refund", order.package.pk)
    package = Package.objects.get(pk=order.package.pk)
    assert (package.extra_months, package.refunded_at) == (0, None)
    for asked in PendingAct.objects.order_by("pk"):
        second.post(f"/ops/approvals/{asked.pk}/", {"decision": "approved", "confirmed": "1"})
    package.refresh_from_db()
    assert package.extra_months == 3
    assert package.refunded_at is not None


def test_an_approved_amount_counts_towards_the_limit_of_the_one_who_requested_it(
    alice: User, log_in: Login, operators: dict[str, User], second: Client
) -> None:
    finance = log_in("finance")
    act(finance, "top-up", alice.pk, amount="20000")
    asked = PendingAct.objects.get()
    assert AuditEntry.objects.get(act="approval-ask").address == "127.0.0.1"
    second.post(f"/ops/approvals/{asked.pk}/", {"decision": "approved", "confirmed": "1"})
    assert wallet.balance(alice) == 20_000
    act(finance, "top-up", alice.pk, amount="1")
    assert wallet.balance(alice) == 20_000
    assert approvals.pending(asked.requested_at).count() == 1
    act(second, "top-up", alice.pk, amount="1")  # the approver gave nothing alone so far
    assert wallet.balance(alice) == 20_001


def test_declined_withdrawn_and_expired_requests_are_not_executed(
    alice: User, log_in: Login, second: Client, now: datetime
) -> None:
    finance = log_in("finance")
    for client, decision, state in (
        (second, "declined", State.DECLINED),
        (finance, "withdrawn", State.WITHDRAWN),
        (None, "", State.PENDING),
    ):  # fmt: skip
        act(finance, "top-up", alice.pk, amount="20000")
        asked = PendingAct.objects.latest("pk")
        if client is not None:
            client.post(f"/ops/approvals/{asked.pk}/", {"decision": decision, "confirmed": "1"})
        else:
            PendingAct.objects.filter(pk=asked.pk).update(expires_at=now - timedelta(seconds=1))
        second.post(f"/ops/approvals/{asked.pk}/", {"decision": "approved", "confirmed": "1"})
        asked.refresh_from_db()
        assert asked.state == state
    assert wallet.balance(alice) == 0
    assert approvals.pending(now).count() == 0
    assert set(AuditEntry.objects.values_list("act", flat=True)) == {
        "approval-ask", "approval-declined", "approval-withdrawn",
    }  # fmt: skip


def test_the_affected_customer_cannot_approve(
    log_in: Login, operators: dict[str, User], second: Client
) -> None:
    """An operator who is the customer of the request, and holds the permission."""
    me = User.objects.get(username="op-finance-2")
    act(log_in("finance"), "top-up", me.pk, amount="20000")
    asked = PendingAct.objects.get()
    second.post(f"/ops/approvals/{asked.pk}/", {"decision": "approved", "confirmed": "1"})
    assert wallet.balance(me) == 0
    with pytest.raises(IntegrityError, match="pending_act_not_for_oneself"), transaction.atomic():
        PendingAct.objects.update(state="approved", decided_by=me, decided_at=asked.requested_at)
    with pytest.raises(IntegrityError, match="pending_act_four_eyes"), transaction.atomic():
        PendingAct.objects.update(state="approved", decided_by=asked.by, decided_at=asked.requested_at)


def test_a_request_of_an_operator_without_the_role_is_refused(
    alice: User, log_in: Login, operators: dict[str, User], second: Client
) -> None:
    act(log_in("finance"), "top-up", alice.pk, amount="20000")
    roles.assign(operators["finance"], [])
    second.post(f"/ops/approvals/{PendingAct.objects.get().pk}/", {"decision": "approved", "confirmed": "1"})
    assert wallet.balance(alice) == 0
