"""Pagination of long lists that stays fast on late pages."""

from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet


class RowsPaginator(Paginator):
    """A Paginator that finds a page's keys in the index, then reads only those rows and their joins.

    A row that leaves the list between the two queries (e.g. an order that is paid meanwhile) is omitted.
    """

    def __init__(self, rows: "QuerySet[Any]", per_page: int) -> None:
        super().__init__(rows, per_page)
        self.rows = rows

    def page(self, number: int | str) -> Page:
        """Return page `number`, in the order of the queryset."""
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        keys = list(
            self.rows.select_related(None).values_list("pk", flat=True)[first : first + self.per_page]
        )
        found = self.rows.in_bulk(keys)
        return Page([found[key] for key in keys if key in found], number, self)
