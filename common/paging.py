"""Pages of long lists that stay quick far from the first page."""

from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet


class RowsPaginator(Paginator):
    """A Paginator that finds the keys of a page in the index, then reads only those rows and their joins.

    A row that leaves the list in between (an order that is paid meanwhile) is left out.
    """

    def __init__(self, rows: "QuerySet[Any]", per_page: int) -> None:
        super().__init__(rows, per_page)
        self.rows = rows

    def page(self, number: int | str) -> Page:
        """Page `number`, in the order of the queryset."""
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        keys = list(
            self.rows.select_related(None).values_list("pk", flat=True)[first : first + self.per_page]
        )
        found = self.rows.in_bulk(keys)
        return Page([found[key] for key in keys if key in found], number, self)
