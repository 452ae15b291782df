"""A table as data: shown on a page, sent as CSV, and drawn beside its chart, always from the same rows."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from urllib.parse import urlencode

from django.http import Http404, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from console.reports.charts import Chart, Series
from console.reports.downloads import csv_file
from console.templatetags.show import percent

RANKED = 10


@dataclass(frozen=True, slots=True)
class Link:
    """A cell that leads somewhere."""

    text: object
    href: str


def desk(text: str) -> str:
    """Return the URL of the customer desk for an id."""
    return f"{reverse('ops_desk')}?{urlencode({'q': text})}"


def at_desk(text: str) -> Link:
    """Return a link from an id to its page of the customer desk."""
    return Link(text, desk(text))


Value = object
Cell = Value | Link


@dataclass(frozen=True, slots=True)
class Column:
    """`kind`: text, name (of any length), term (one of few), count, ms, share (0-1), yuan, when or day."""

    label: str | Promise
    kind: str = "text"

    @property
    def is_number(self) -> bool:
        return self.kind in {"count", "ms", "share", "yuan"}

    @property
    def css_class(self) -> str:
        """Numbers stand to the right, times on one line; a text takes as many lines as it needs."""
        if self.is_number:
            return "num"
        return {"when": "nowrap", "day": "nowrap", "term": "term", "name": "name"}.get(self.kind, "")

    @property
    def head(self) -> str:
        """The label in a file, where nothing else tells the zone of its times."""
        return (
            _("%(label)s（UTC+8）") % {"label": self.label}
            if self.kind in {"when", "day"}
            else str(self.label)
        )

    def shown(self, value: object) -> str:
        """Return the value for a reader; a dash if it is unknown."""
        if value is None or value == "":
            return "–"
        if self.kind == "share" and isinstance(value, float | int):
            return percent(value, 2)
        if self.kind == "ms" and isinstance(value, float | int):
            return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
        if self.kind == "yuan" and isinstance(value, Decimal | int):
            return f"{value:,.2f}"
        if self.kind == "count" and isinstance(value, int):
            return f"{value:,}"
        if isinstance(value, datetime):
            return timezone.localtime(value).strftime("%Y-%m-%d" if self.kind == "day" else "%Y-%m-%d %H:%M")
        return str(value)

    def plain(self, value: object) -> object:
        """Return the value for a file, with numbers unformatted."""
        if value is None:
            return ""
        if isinstance(value, float):
            return round(value, 6 if self.kind == "share" else 1)
        if self.is_number:
            return value
        return self.shown(value)


def ranks(key: str, title: str, bars: Sequence[tuple[str, float]], unit: str = "", colour: int = 1) -> Chart:
    """Return a bar chart of the first RANKED names with their values, in the order given."""
    names = [name for name, _value in bars[:RANKED]]
    values = [value for _name, value in bars[:RANKED]]
    return Chart(f"chart-{key}", title, names, [Series(title, values, colour)], unit, "ranks")


@dataclass(frozen=True)
class Table:
    """`key` is its name in the address of the CSV. `chart` draws what the rows tell."""

    key: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    empty: str = ""
    chart: Chart | None = None

    @property
    def shown(self) -> list[list[tuple[str, str, str, str]]]:
        """For the template: the column's name, the text, its address or "", the cell's class."""
        return [
            [
                (
                    str(column.label),
                    column.shown(cell.text if isinstance(cell, Link) else cell),
                    cell.href if isinstance(cell, Link) else "",
                    column.css_class,
                )
                for column, cell in zip(self.columns, row, strict=True)
            ]
            for row in self.rows
        ]

    @property
    def plain(self) -> Iterator[list[object]]:
        """The same for a file, heading first."""
        yield [column.head for column in self.columns]
        for row in self.rows:
            yield [
                column.plain(cell.text if isinstance(cell, Link) else cell)
                for column, cell in zip(self.columns, row, strict=True)
            ]


def download(tables: Iterable[Table], key: str) -> HttpResponse:
    """Return the table with that key as CSV. Raises Http404 if it is unknown."""
    for table in tables:
        if table.key == key:
            return csv_file(key, table.plain)
    raise Http404
