"""A table as data, so that page, CSV and chart use the same rows."""

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
from console.templatetags.show import last_day, percent
from operations.reports.comparisons import Comparison

RANKED = 10
FORMATS = {"day": "%Y-%m-%d", "moment": "%Y-%m-%d %H:%M:%S"}


@dataclass(frozen=True, slots=True)
class Link:
    """A cell with a link; `needs` is the permission that the linked page requires."""

    text: object
    href: str
    needs: str = "ops_reports"


def desk(text: str) -> str:
    """Return the URL of the customer desk for an id."""
    return f"{reverse('ops_desk')}?{urlencode({'q': text})}"


def at_desk(text: str) -> Link:
    """Return a cell with an id that links to the customer desk."""
    return Link(text, desk(text), "ops_desk")


@dataclass(frozen=True, slots=True)
class Shown:
    """A cell for the template: the column's label, the text, its link or "", and the CSS class."""

    label: str
    text: str
    href: str
    needs: str
    css_class: str


Value = object
Cell = Value | Link


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    `kind` is text, name (of any length), term (one of few), id (of 36 letters), count, ms, share (0-1), yuan,
    when (to the minute), moment (to the second), day, last_day (of something valid until then, exclusive),
    span (a duration), or change (a Comparison).
    """

    label: str | Promise
    kind: str = "text"

    @property
    def is_number(self) -> bool:
        return self.kind in {"count", "ms", "share", "yuan", "change"}

    @property
    def css_class(self) -> str:
        """Return the CSS class: numbers are right-aligned, times do not wrap."""
        if self.is_number:
            return "num"
        return {
            "when": "nowrap",
            "moment": "nowrap",
            "day": "nowrap",
            "last_day": "nowrap",
            "span": "nowrap",
            "id": "mono tiny",
            "term": "term",
            "name": "name",
        }.get(self.kind, "")

    @property
    def head(self) -> str:
        """Return the label in a file, which includes the time zone for times."""
        return (
            _("%(label)s（UTC+8）") % {"label": self.label}
            if self.kind in {"when", "moment", "day", "last_day"}
            else str(self.label)
        )

    def shown(self, value: object) -> str:
        """Return the formatted value; a dash if it is unknown."""
        if value is None or value == "":
            return "–"
        if isinstance(value, Comparison):
            return value.text or "–"
        if self.kind == "share" and isinstance(value, float | int):
            return percent(value, 2)
        if self.kind == "ms" and isinstance(value, float | int):
            return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
        if self.kind == "yuan" and isinstance(value, Decimal | int):
            return f"{value:,.2f}"
        if self.kind == "count" and isinstance(value, int):
            return f"{value:,}"
        if self.kind == "last_day" and isinstance(value, datetime):
            return last_day(value)
        if isinstance(value, datetime):
            return timezone.localtime(value).strftime(FORMATS.get(self.kind, "%Y-%m-%d %H:%M"))
        return str(value)

    def plain(self, value: object) -> object:
        """Return the value for a file, with numbers unformatted."""
        if value is None:
            return ""
        if isinstance(value, Comparison):
            return value.text
        if isinstance(value, float):
            return round(value, 6 if self.kind == "share" else 1)
        if self.is_number:
            return value
        return self.shown(value)


def ranks(
    key: str,
    title: str,
    bars: Sequence[tuple[str, float]],
    unit: str = "",
    colour: int = 1,
    links: Sequence[str] = (),
) -> Chart:
    """Return a bar chart of the first RANKED names with their values, in the given order.

    `links` are the addresses of the bars, if any.
    """
    names = [name for name, _value in bars[:RANKED]]
    values = [value for _name, value in bars[:RANKED]]
    series = [Series(title, values, colour)]
    return Chart(f"chart-{key}", title, names, series, unit, "ranks", links=list(links[:RANKED]))


@dataclass(frozen=True)
class Table:
    """A table of a page. `key` names it in the address of its CSV; `chart` shows the same rows."""

    key: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    empty: str = ""
    chart: Chart | None = None

    @property
    def shown(self) -> list[list[Shown]]:
        """Return the cells for the template."""
        return [
            [_shown(column, cell) for column, cell in zip(self.columns, row, strict=True)]
            for row in self.rows
        ]

    @property
    def plain(self) -> Iterator[list[object]]:
        """Return the rows for a file, heading first."""
        yield [column.head for column in self.columns]
        for row in self.rows:
            yield [
                column.plain(cell.text if isinstance(cell, Link) else cell)
                for column, cell in zip(self.columns, row, strict=True)
            ]


def _shown(column: Column, cell: Cell) -> Shown:
    value = cell.text if isinstance(cell, Link) else cell
    look = f" trend-{value.trend}" if isinstance(value, Comparison) else ""
    href, needs = (cell.href, cell.needs) if isinstance(cell, Link) else ("", "")
    return Shown(str(column.label), column.shown(value), href, needs, column.css_class + look)


def download(tables: Iterable[Table], key: str) -> HttpResponse:
    """Return the table with that key as CSV. Raises Http404 if it is unknown."""
    for table in tables:
        if table.key == key:
            return csv_file(key, table.plain)
    raise Http404
