"""What the database rejects: each line is a write that bypasses the rules in Python."""

from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import App, User
from billing import catalogue
from billing.models import Duration
from billing.payments import wallet
from tests.billing.conftest import NOON, Shop, breaks


@pytest.fixture
def books(books: App, alice: User, bob: User, olga: User, shop: Shop) -> App:
    """Add a pending order, Bob's App and a change of the catalogue to the shared books."""
    wallet.top_up(bob, Decimal(1), by=olga, reason="transfer", at=NOON)
    shop.order(alice)
    shop.buy(bob, price="0.00")
    catalogue.change(Duration.objects.first(), {"is_active": False}, by=olga, reason="2027", at=NOON)
    return books


BOBS = "(SELECT id FROM accounts_user WHERE username = 'bob')"
BOBS_APP = f"(SELECT id FROM accounts_app WHERE customer_id = {BOBS})"
BOBS_ORDER = f"(SELECT id FROM billing_order WHERE customer_id = {BOBS})"


@pytest.mark.parametrize(
    ("write", "refusal"),
    [
        # An order: its states, its terms, its customer
        ("UPDATE billing_order SET state = 'pending', paid_at = NULL, cash_paid = 0, voucher_paid = 0"
         " WHERE state = 'paid'", "stays so"),
        ("UPDATE billing_order SET state = 'pending', cancel_reason = '', cancelled_at = NULL"
         " WHERE state = 'cancelled'", "stays so"),
        ("UPDATE billing_order SET cancel_reason = 'customer' WHERE state = 'pending'", "order_state_agrees"),
        ("UPDATE billing_order SET cancel_reason = '' WHERE state = 'cancelled'", "order_state_agrees"),
        ("UPDATE billing_order SET paid_at = NULL WHERE state = 'paid'", "order_state_agrees"),
        ("UPDATE billing_order SET paid_at = expires_at WHERE state = 'paid'", "order_state_agrees"),
        ("UPDATE billing_order SET expires_at = created_at WHERE state = 'pending'", "order_window"),
        ("UPDATE billing_order SET unit_price = 0, amount = 0", "what was ordered stays"),
        ("UPDATE billing_order SET units_per_month = 200", "what was ordered stays"),
        (f"UPDATE billing_order SET customer_id = {BOBS}", "what was ordered stays"),
        (f"UPDATE billing_order SET app_id = {BOBS_APP}, is_new_app = false WHERE state = 'pending'",
         "order_app_is_the_customers"),
        # Money: its owner, and the cause of each movement
        ("INSERT INTO billing_walletentry"
         " (wallet_id, kind, amount, balance_after, order_id, reason, token, at)"
         f" SELECT customer_id, 'payment', -1, 0, {BOBS_ORDER}, '', 'theft', now() FROM billing_order"
         " WHERE state = 'pending'", "wallet_entry_order_is_the_customers"),
        ("INSERT INTO billing_walletentry (wallet_id, kind, amount, balance_after, by_id, reason, token, at)"
         f" VALUES ({BOBS}, 'top_up', 1, 1, {BOBS}, '', 'gift', now())", "wallet_entry_kind_agrees"),
        ("UPDATE billing_voucher SET reason = ''", "voucher_has_reason"),
        ("INSERT INTO billing_cataloguechange (at, by_id, subject, subject_id, field, before, after, reason)"
         " SELECT at, by_id, subject, subject_id, field, before, after, '' FROM billing_cataloguechange",
         "catalogue_change_has_reason"),
        # A Package belongs to its order, a Period to its Package
        (f"UPDATE billing_period SET app_id = {BOBS_APP}; UPDATE billing_package SET app_id = {BOBS_APP}",
         "package_app_is_the_orders"),
        ("UPDATE billing_package SET api = 'face_compare'", "period_repeats_its_package"),
        ("UPDATE billing_package SET api = 'face_swap'", "package_api_known"),
        ("UPDATE billing_package SET units_per_period = 0", "package_units_positive"),
        (f"UPDATE billing_period SET app_id = {BOBS_APP}", "period_repeats_its_package"),
        ("UPDATE billing_period SET api = 'face_compare'", "period_repeats_its_package"),
        ("UPDATE billing_period SET meter = 'hours'", "period_meter_known"),
        # A closed Debit is final
        ("UPDATE billing_debit SET state = 'held', closed_at = NULL WHERE state = 'settled'", "stays so"),
        ("UPDATE billing_debit SET state = 'settled' WHERE state = 'returned'", "stays so"),
        ("UPDATE billing_debit SET units = 1 WHERE state = 'settled'", "stays so"),
        # An App's limits
        ("UPDATE accounts_app SET rate_per_s = 0", "app_limits_positive"),
        ("UPDATE accounts_app SET concurrency = 0", "app_limits_positive"),
    ],
)  # fmt: skip
def test_an_invalid_row_is_rejected(books: App, write: str, refusal: str) -> None:
    with pytest.raises(IntegrityError, match=refusal):
        commit(write)


def commit(write: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(write)
        assert cursor.rowcount
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_the_books_fixture_passes_reconcile(books: App) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert not breaks()
