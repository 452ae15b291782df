"""Wallet, vouchers and refunds: every movement has an entry, and entries are append-only."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from accounts.models import User
from billing import orders, quota
from billing.errors import AmountRefused, NotRefundable, ReasonMissing, TokenReused, VoucherRefused
from billing.models import CatalogueChange, Voucher, VoucherEntry, Wallet, WalletEntry
from billing.payments import refunds, vouchers, wallet
from tests.billing.conftest import DETECT, NOON, Shop, breaks, shanghai

LATER = NOON + timedelta(days=1)
END = NOON + timedelta(days=30)


@pytest.fixture
def gift(olga: User):
    def issue(value: str = "5.00", **more) -> Voucher:
        wishes = {"valid_from": NOON, "valid_until": END, "by": olga, "reason": "gift", "at": NOON}
        return vouchers.issue(face_value=Decimal(value), **(wishes | more))

    return issue


def test_a_balance_is_the_sum_of_its_entries(alice: User, olga: User, shop: Shop) -> None:
    assert wallet.balance(alice) == 0
    wallet.top_up(alice, Decimal("20.00"), by=olga, reason="transfer 1", at=NOON)
    wallet.top_up(alice, Decimal("0.01"), by=olga, reason="transfer 2", at=NOON)
    orders.pay(shop.order(alice, price="12.50"), NOON)
    assert wallet.balance(alice) == Decimal("7.51")
    assert [str(entry.balance_after) for entry in wallet.statement(alice)] == ["7.51", "20.01", "20.00"]
    assert not breaks(LATER)


@pytest.mark.parametrize("amount", ["0", "-1", "0.001", "NaN", "Infinity", "10000000000.00"])
def test_an_amount_must_be_a_positive_number_of_whole_fen(alice: User, olga: User, gift, amount: str) -> None:
    with pytest.raises(AmountRefused):
        wallet.top_up(alice, Decimal(amount), by=olga, reason="transfer", at=NOON)
    with pytest.raises(AmountRefused):
        gift(amount)


def test_an_operators_action_needs_a_reason(alice: User, olga: User, gift) -> None:
    with pytest.raises(ReasonMissing):
        wallet.top_up(alice, Decimal(1), by=olga, reason="  ", at=NOON)
    with pytest.raises(ReasonMissing):
        gift(reason="")


def test_a_form_sent_twice_tops_up_once(alice: User, bob: User, olga: User) -> None:
    for _i in range(2):
        entry = wallet.top_up(alice, Decimal(5), by=olga, reason="transfer", at=NOON, token="form 1")
    assert wallet.balance(alice) == entry.balance_after == 5
    for customer, amount in ((bob, 5), (alice, 6)):
        with pytest.raises(TokenReused):
            wallet.top_up(customer, Decimal(amount), by=olga, reason="transfer", at=NOON, token="form 1")
    assert wallet.balance(alice) == 5
    assert wallet.balance(bob) == 0


def test_entries_are_append_only(alice: User, olga: User, gift, shop: Shop) -> None:
    entry = wallet.top_up(alice, Decimal(5), by=olga, reason="transfer", at=NOON)
    gift(customer=alice)
    orders.pay(shop.order(alice, price="6.00"), NOON)
    for rows in (WalletEntry.objects, VoucherEntry.objects):
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            rows.update(amount=-1)
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            rows.all().delete()
    assert wallet.statement(alice).last() == entry
    assert not CatalogueChange.objects.exists()


def test_the_statement_is_exported_as_csv(alice: User, bob: User, olga: User, shop: Shop) -> None:
    wallet.top_up(alice, Decimal("9.00"), by=olga, reason="transfer", at=shanghai(2027, 3, 10, 9))
    wallet.top_up(bob, Decimal("1.00"), by=olga, reason="transfer", at=NOON)
    paid = orders.pay(shop.order(alice, price="2.50"), NOON)
    heading, payment, top_up = wallet.statement_rows(alice)
    assert heading == ["时间（UTC+8）", "类型", "金额（元）", "余额（元）", "订单编号", "说明"]
    assert payment == ["2027-03-10 12:00:00", "支付", Decimal("-2.50"), Decimal("6.50"), paid.number, ""]
    assert top_up == ["2027-03-10 09:00:00", "充值", Decimal("9.00"), Decimal("9.00"), "", "transfer"]


def test_database_constraints_reject_inconsistent_rows(alice: User, olga: User, gift, shop: Shop) -> None:
    wallet.top_up(alice, Decimal("9.00"), by=olga, reason="transfer", at=NOON)
    with pytest.raises(IntegrityError), transaction.atomic():
        Wallet.objects.update(balance=-1)
    voucher = gift(customer=alice)
    for wrong in ({"remaining": 6}, {"remaining": -1}, {"valid_until": NOON}, {"customer": None}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Voucher.objects.filter(pk=voucher.pk).update(**wrong)
    order = orders.pay(shop.order(alice, price="6.00"), NOON)
    with pytest.raises(IntegrityError), transaction.atomic():
        wallet.charge(order, Decimal(1), NOON)  # one payment per order


def test_a_code_is_redeemed_once(alice: User, bob: User, gift) -> None:
    code = gift().code
    assert vouchers.redeem(alice, f" {code.lower()} ", NOON).customer == alice
    with pytest.raises(VoucherRefused) as refused:
        vouchers.redeem(bob, code, NOON)
    assert refused.value.details == {"why": "taken"}
    assert vouchers.balance(alice, NOON) == 5
    assert vouchers.balance(bob, NOON) == 0


def test_redeeming_again_is_idempotent_for_the_owner(alice: User, gift) -> None:
    code = gift().code
    first = vouchers.redeem(alice, code, NOON)
    again = vouchers.redeem(alice, code, END)
    assert (again, again.redeemed_at) == (first, NOON)
    assert vouchers.balance(alice, NOON) == 5


@pytest.mark.parametrize("typed", ["{0}{1}{2}{3}", "{0} {1} {2} {3}", "{0}-{1}-{2}-{3}\n", "{0}—{1}—{2}—{3}"])
def test_a_code_may_be_typed_in_any_grouping(alice: User, gift, typed: str) -> None:
    code = typed.format(*gift().code.lower().split("-"))
    assert vouchers.redeem(alice, code, NOON).customer == alice


def test_unknown_and_expired_codes_are_refused(alice: User, gift) -> None:
    for code, at, why in (
        ("NO-SUCH", NOON, "unknown"),
        ("\0", NOON, "unknown"),
        (gift().code, END, "expired"),
    ):
        with pytest.raises(VoucherRefused) as refused:
            vouchers.redeem(alice, code, at)
        assert refused.value.details == {"why": why}
    with pytest.raises(VoucherRefused):
        gift(valid_until=NOON)


def test_the_validity_of_a_voucher_is_half_open(alice: User, gift) -> None:
    gift(customer=alice, valid_from=LATER)
    moment = timedelta(microseconds=1)
    found = [vouchers.balance(alice, at) for at in (LATER - moment, LATER, END - moment, END)]
    assert found == [0, 5, 5, 0]


def test_a_voucher_applies_to_its_apis(alice: User, gift, shop: Shop) -> None:
    gift(customer=alice, apis=["face_compare"])
    assert vouchers.balance(alice, NOON, "face_detect") == 0
    assert vouchers.balance(alice, NOON, "face_compare") == 5
    assert orders.pay(shop.order(alice, price="4.00", api="face_compare"), NOON).voucher_paid == 4
    assert vouchers.balance(alice, NOON) == 1


def test_a_refund_returns_cash_and_vouchers(alice: User, olga: User, gift, shop: Shop) -> None:
    near, far = (
        gift("3.00", customer=alice, valid_until=END - timedelta(days=9)),
        gift("4.00", customer=alice),
    )
    wallet.top_up(alice, Decimal(10), by=olga, reason="transfer", at=NOON)
    order = orders.pay(shop.order(alice, price="4.00", months=2), NOON)
    assert (order.voucher_paid, order.cash_paid) == (7, 1)
    package = refunds.refund(order.package, by=olga, reason="mistake", at=LATER)
    assert (package.refunded_at, package.refunded_by, package.refund_reason) == (LATER, olga, "mistake")
    assert wallet.balance(alice) == 10
    for voucher, value in ((near, 3), (far, 4)):
        voucher.refresh_from_db()
        assert voucher.remaining == value
    assert quota.remaining(order.app, DETECT, LATER) == 0
    with pytest.raises(NotRefundable) as refused:
        refunds.refund(package, by=olga, reason="again", at=LATER)
    assert refused.value.details == {"why": "refunded"}
    assert not breaks(LATER)


def test_only_unused_packages_that_have_not_ended_are_refunded(
    alice: User, olga: User, shop: Shop, call
) -> None:
    app = shop.buy(alice, months=2)
    package = app.packages.get()
    with pytest.raises(NotRefundable) as ended:
        refunds.refund(package, by=olga, reason="late", at=shanghai(2027, 5, 10))
    assert ended.value.details == {"why": "ended"}
    with pytest.raises(ReasonMissing):
        refunds.refund(package, by=olga, reason=" ", at=LATER)
    call(app, NOON)
    with pytest.raises(NotRefundable) as used:
        refunds.refund(package, by=olga, reason="late", at=LATER)
    assert used.value.details == {"why": "used"}
    assert quota.remaining(app, DETECT, LATER) == 999
    assert not breaks(LATER)
