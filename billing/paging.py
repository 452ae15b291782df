"""Pages of long lists that stay quick far from the first page."""

from django.core.paginator import Page, Paginator


class RowsPaginator(Paginator):
    """A Paginator that finds the keys of a page in the index, then reads only those rows and their joins."""

    def page(self, number: int | str) -> Page:
        """Page `number`, in the order of the queryset."""
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        keys = self.object_list.select_related(None).values_list("pk", flat=True)
        keys = list(keys[first : first + self.per_page])
        rows = self.object_list.in_bulk(keys)
        return self._get_page([rows[key] for key in keys], number, self)
