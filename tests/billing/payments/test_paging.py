"""RowsPaginator returns the same pages as Django's Paginator."""

from contextlib import suppress
from datetime import timedelta

import pytest
from django.core.paginator import EmptyPage, Paginator
from django.db import connection

from accounts.models import User
from billing import orders
from billing.errors import OrderNotCancellable
from common.paging import RowsPaginator
from tests.billing.conftest import NOON, Shop


def test_pages_equal_those_of_djangos_paginator(alice: User, shop: Shop, django_assert_num_queries) -> None:
    for number in range(7):
        shop.order(alice, NOON + timedelta(seconds=number % 3))
    rows = orders.of(alice)
    usual, ours = Paginator(rows, 3), RowsPaginator(rows, 3)
    assert [list(ours.page(number)) for number in (1, 2, 3)] == [
        list(usual.page(number)) for number in (1, 2, 3)
    ]
    assert list(ours.get_page("nonsense")) == list(ours.page(1))
    assert list(ours.get_page(99)) == list(ours.page(3))
    with pytest.raises(EmptyPage):
        ours.page(4)
    with django_assert_num_queries(3):  # the count, the keys, the rows with their joins
        assert [order.sku.spec for order in RowsPaginator(rows, 3).page(1)] == ["千张/月"] * 3


def test_a_row_that_leaves_between_two_queries_is_not_listed(alice: User, shop: Shop) -> None:
    """An unpaid order is cancelled in another tab while the list of unpaid ones is read."""
    first, second = shop.order(alice), shop.order(alice, NOON + timedelta(seconds=1))

    def after_the_keys(execute, sql, *rest):
        found = execute(sql, *rest)
        if 'SELECT "billing_order"."id"' in sql and "LIMIT" in sql:
            with suppress(OrderNotCancellable):  # its own queries pass through this wrapper too
                orders.cancel(second, NOON)
        return found

    with connection.execute_wrapper(after_the_keys):
        assert list(RowsPaginator(orders.of(alice, state="pending"), 3).page(1)) == [first]


def test_an_empty_list_has_one_empty_page(alice: User) -> None:
    assert list(RowsPaginator(orders.of(alice), 3).get_page(1)) == []
