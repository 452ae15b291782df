"""The building blocks of reconcile's checks: breaks, and decorators for checks by day and of sums."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import update_wrapper
from typing import Any

from django.db import connection

from billing.books import checkpoint
from billing.books.checkpoint import TimeRange


@dataclass(frozen=True)
class Break:
    """One contradiction: the row's id, and the values that contradict each other."""

    row: str
    detail: str


Check = Callable[[datetime], Iterable[Break]]


class by_day:
    """Decorator: a check of the calls or debits of one time range, or of all that exist if none is given."""

    def __init__(self, check: Callable[[datetime, TimeRange], Iterable[Break]]) -> None:
        self._check = check
        update_wrapper(self, check)

    def __call__(self, at: datetime, span: TimeRange | None = None) -> Iterable[Break]:
        return self._check(at, span or checkpoint.everything())


class of_sums:
    """Decorator: a check of sums, taken from the rows of the given ranges and the records of other days."""

    def __init__(self, check: Callable[[datetime, Sequence[TimeRange]], Iterable[Break]]) -> None:
        self._check = check
        update_wrapper(self, check)

    def __call__(self, at: datetime, spans: Sequence[TimeRange] = ()) -> Iterable[Break]:
        return self._check(at, spans or [checkpoint.everything()])


def rows(sql: str, **values: Any) -> Iterator[Break]:
    """Yield a Break for each row (id, detail) of a query."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        for row, detail in cursor.fetchall():
            yield Break(str(row), str(detail))
