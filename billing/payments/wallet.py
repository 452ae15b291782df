"""账户余额: an append-only ledger and its balance; the only writer of Wallet and WalletEntry.

Spending is one conditional UPDATE, so that concurrent payments cannot make a balance negative.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from accounts import own_account
from accounts.models import User
from billing.errors import AmountRefused, InsufficientBalance, NotReversible, TokenReused
from billing.models import EntryKind, Order, Wallet, WalletEntry
from billing.reasons import reason_of

LARGEST = Decimal("9999999999.99")


def balance(customer: User) -> Decimal:
    """Return the customer's balance in yuan."""
    wallet = Wallet.objects.filter(customer=customer).first()
    return wallet.balance if wallet else Decimal("0.00")


def validate_amount(amount: Decimal) -> Decimal:
    """Return the amount. Raises AmountRefused unless it is a positive number of whole fen."""
    if not amount.is_finite() or not 0 < amount <= LARGEST or amount != round(amount, 2):
        raise AmountRefused(amount=amount)
    return round(amount, 2)


def top_up(
    customer: User, amount: Decimal, *, by: User, reason: str, at: datetime, token: str = ""
) -> WalletEntry:
    """Add money to the wallet. If the form's `token` is repeated, add nothing and return the first entry.

    Raises AmountRefused, ReasonMissing, TokenReused (by a different entry), RuleError `own_account`.
    """
    own_account.refuse(customer, by)
    entry = WalletEntry(
        kind=EntryKind.TOP_UP, amount=validate_amount(amount), by=by, reason=reason_of(reason), at=at
    )
    if token:
        entry.token = token
    try:
        return _move(customer, entry)
    except IntegrityError as error:
        same = {"token": token, "wallet": customer.pk, "kind": EntryKind.TOP_UP, "amount": entry.amount}
        if first := WalletEntry.objects.filter(**same).first():
            return first
        raise TokenReused() from error


def reverse(
    top_up: WalletEntry, amount: Decimal, *, by: User, reason: str, at: datetime, token: str = ""
) -> WalletEntry:
    """Reverse a mistaken top-up, or part of it, by a separate entry; each top-up at most once.

    Money that the customer has already spent cannot be taken back. Raises AmountRefused, ReasonMissing,
    NotReversible, InsufficientBalance, RuleError `own_account`.
    """
    customer = top_up.wallet.customer
    own_account.refuse(customer, by)
    amount = validate_amount(amount)
    if top_up.kind != EntryKind.TOP_UP:
        raise NotReversible(why="kind")
    if amount > top_up.amount:
        raise NotReversible(why="amount", limit=top_up.amount)
    entry = WalletEntry(
        kind=EntryKind.REVERSAL, amount=-amount, reverses=top_up, by=by, reason=reason_of(reason), at=at
    )
    if token:
        entry.token = token
    if is_reversed(top_up):
        raise NotReversible(why="reversed")
    try:
        return _move(customer, entry)
    except IntegrityError as error:
        if is_reversed(top_up):  # by a concurrent action of another operator
            raise NotReversible(why="reversed") from error
        raise


def is_reversed(top_up: WalletEntry) -> bool:
    """Return whether the top-up was reversed, in whole or in part."""
    return WalletEntry.objects.filter(kind=EntryKind.REVERSAL, reverses=top_up).exists()


def charge(order: Order, amount: Decimal, at: datetime) -> WalletEntry:
    """Charge the part of an order that vouchers do not cover. Raises InsufficientBalance. For orders.py."""
    return _move(order.customer, WalletEntry(kind=EntryKind.PAYMENT, amount=-amount, order=order, at=at))


def refund(order: Order, amount: Decimal, *, by: User, reason: str, at: datetime) -> WalletEntry:
    """Refund the cash part of an order. For billing/payments/refunds.py."""
    own_account.refuse(order.customer, by)
    return _move(
        order.customer,
        WalletEntry(kind=EntryKind.REFUND, amount=amount, order=order, by=by, reason=reason, at=at),
    )


@transaction.atomic
def _move(customer: User, entry: WalletEntry) -> WalletEntry:
    Wallet.objects.get_or_create(customer=customer)
    moved = Wallet.objects.filter(customer=customer, balance__gte=-entry.amount).update(
        balance=F("balance") + entry.amount
    )
    wallet = Wallet.objects.get(customer=customer)
    if not moved:
        raise InsufficientBalance(needed=-entry.amount, balance=wallet.balance)
    entry.wallet, entry.balance_after = wallet, wallet.balance
    entry.save(force_insert=True)
    return entry


def statement(customer: User) -> "QuerySet[WalletEntry]":
    """Return the customer's entries, newest first, for a paginator."""
    return WalletEntry.objects.filter(wallet=customer.pk).select_related("order", "by").order_by("-pk")


def statement_rows(customer: User) -> Iterator[list[object]]:
    """Yield the statement as rows of a CSV file: heading, then entries, newest first; amounts in yuan."""
    yield [
        gettext("时间（UTC+8）"),
        gettext("类型"),
        gettext("金额（元）"),
        gettext("余额（元）"),
        gettext("订单编号"),
        gettext("说明"),
    ]
    for entry in statement(customer).iterator(chunk_size=1000):
        yield [
            timezone.localtime(entry.at).strftime("%Y-%m-%d %H:%M:%S"),
            str(entry.get_kind_display()),
            entry.amount,
            entry.balance_after,
            entry.order.number if entry.order else "",
            entry.reason,
        ]
