"""The change of a figure from an earlier period: as text, and whether it is better or worse."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from django.utils.translation import gettext as _

Trend = Literal["better", "worse", "same"]
Number = int | float | Decimal
DIRECTION: dict[bool, Trend] = {True: "better", False: "worse"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """The change of a figure from an earlier period; `text` is "" if there is no earlier figure."""

    text: str
    trend: Trend = "same"
    label: str = ""

    def __str__(self) -> str:
        return self.text


def change(
    now: Number | None, before: Number | None, *, more_is_better: bool | None = True, label: str = ""
) -> Comparison:
    """Compare in per cent. `more_is_better` is None for a neutral figure."""
    if not before or now is None:
        return Comparison("", label=label)
    percent = round(float(now) / float(before) * 100 - 100)
    return Comparison(f"{percent:+,d}%", _trend(percent, more_is_better), label)


def points(now: float | None, before: float | None, *, label: str = "") -> Comparison:
    """Compare two shares in percentage points; more is better."""
    if before is None or now is None:
        return Comparison("", label=label)
    difference = round((now - before) * 100, 2)
    text = _("%(change)s 个百分点") % {"change": f"{difference:+.2f}"}
    return Comparison(text, _trend(difference, True), label)


def _trend(difference: float, more_is_better: bool | None) -> Trend:
    if not difference or more_is_better is None:
        return "same"
    return DIRECTION[(difference > 0) == more_is_better]
