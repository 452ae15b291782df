"""A chart as data, for static/js/charts.js and for the table beside the chart."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from django.utils import timezone
from django.utils.translation import gettext as _

Value = int | float | None


@dataclass(frozen=True)
class Series:
    """One line, or the bars of one colour. `colour` is the N, 1-5, of --chart-N in the stylesheet."""

    label: str
    values: Sequence[Value]
    colour: int
    dashed: bool = False


@dataclass(frozen=True)
class Mark:
    """An event from step `first` to step `last` of a time chart."""

    first: int
    last: int
    text: str


@dataclass(frozen=True)
class Row:
    label: str
    values: list[Value]
    href: str = ""


@dataclass(frozen=True)
class Chart:
    """One value of each series for each label, all in `unit`.

    `kind` is a line chart or vertical bars over time, or ranks: horizontal bars, each with its name. A series
    may be shorter than the labels, because future steps have no value. If the last step with values is still
    in progress, `as_of` is the time of reading. `links` has an address for each label, or is empty. `marks`
    are drawn behind the values and described in the tooltip.
    """

    id: str
    title: str
    labels: Sequence[str]
    series: Sequence[Series]
    unit: str = ""
    kind: Literal["line", "bar", "ranks"] = "line"
    stacked: bool = False
    as_of: datetime | None = None
    links: Sequence[str] = ()
    marks: Sequence[Mark] = ()

    @property
    def progress(self) -> str:
        """Return 截至 01:20, or "" if all steps are complete."""
        return (
            _("截至 %(time)s") % {"time": timezone.localtime(self.as_of).strftime("%H:%M")}
            if self.as_of
            else ""
        )

    @property
    def has_values(self) -> bool:
        """Return whether any value is not zero; a chart of zeros is not drawn."""
        return any(value for one in self.series for value in one.values)

    @property
    def payload(self) -> dict[str, Any]:
        """Return the data of the json_script that charts.js reads."""
        lines = [
            {"label": one.label, "values": list(one.values), "colour": one.colour, "dashed": one.dashed}
            for one in self.series
        ]
        return {
            "labels": list(self.labels),
            "unit": self.unit,
            "kind": self.kind,
            "stacked": self.stacked,
            "progress": self.progress,
            "links": list(self.links),
            "marks": [{"first": one.first, "last": one.last, "text": one.text} for one in self.marks],
            "series": lines,
        }

    @property
    def rows(self) -> list[Row]:
        """Return the same numbers as rows of a table, one for each label up to now."""
        columns = list(zip(*(one.values for one in self.series), strict=True))
        labels = self.labels[: len(columns)]
        links = list(self.links[: len(columns)]) or [""] * len(columns)
        rows = zip(labels, columns, links, strict=True)
        return [Row(label, list(values), href) for label, values, href in rows]
