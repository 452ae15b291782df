"""A chart as data: what static/js/charts.js draws and what the table beside it lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from django.utils import timezone
from django.utils.translation import gettext as _

Value = int | float | None


@dataclass(frozen=True)
class Series:
    """One line, or the bars of one colour. `colour` is 1-5, the stylesheet's --chart-N."""

    label: str
    values: Sequence[Value]
    colour: int
    dashed: bool = False


@dataclass(frozen=True)
class Mark:
    """Something that happened from step `first` to step `last` of a chart along the time."""

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

    `kind`: a line or upright bars along the time, or ranks: lying bars, each beside its name. A series may be
    shorter than the labels: the steps that have not come yet have no value. `as_of` is set when the last step
    with values is still in progress, and is when it was read. `links`: an address for each label, or none.
    `marks` are drawn behind the values, and told by the tooltip.
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
        """截至 01:20, or "" when every step shown is complete."""
        return (
            _("截至 %(time)s") % {"time": timezone.localtime(self.as_of).strftime("%H:%M")}
            if self.as_of
            else ""
        )

    @property
    def has_values(self) -> bool:
        """Whether there is anything to see: a picture of zeros only asks what is missing."""
        return any(value for one in self.series for value in one.values)

    @property
    def payload(self) -> dict[str, Any]:
        """For the json_script that the drawing reads."""
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
        """The same numbers as lines of a table: one for each label that has come."""
        columns = list(zip(*(one.values for one in self.series), strict=True))
        labels = self.labels[: len(columns)]
        links = list(self.links[: len(columns)]) or [""] * len(columns)
        rows = zip(labels, columns, links, strict=True)
        return [Row(label, list(values), href) for label, values, href in rows]
