"""The date range and the step of a report: the choices and their form."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from faceapi.usage.operator_reports import Step

# Key: its label, and the number of days up to today.
RANGES = {
    "today": (gettext_lazy("今天"), 1),
    "7d": (gettext_lazy("近 7 天"), 7),
    "30d": (gettext_lazy("近 30 天"), 30),
    "90d": (gettext_lazy("近 90 天"), 90),
}
CUSTOM = "custom"
DEFAULT = "7d"
MAX_DAYS = 366
MAX_DAYS_BY_HOUR = 7
# Far from the ends of the calendar, near which time zone conversions fail.
NO_EARLIER, NO_LATER = date(2000, 1, 1), date(2999, 12, 31)


def local_midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, timezone.get_default_timezone())


@dataclass(frozen=True)
class DateRange:
    """Local days from `first` to `last`, inclusive. `wanted` is the requested step, or empty."""

    first: date
    last: date
    wanted: str = ""

    @property
    def since(self) -> datetime:
        return local_midnight(self.first)

    @property
    def until(self) -> datetime:
        return local_midnight(self.last + timedelta(days=1))

    @property
    def count(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def by_hour_allowed(self) -> bool:
        return self.count <= MAX_DAYS_BY_HOUR

    @property
    def step(self) -> Step:
        """Return the requested step, but hours only for a few days; hourly by default for one day."""
        wanted = self.wanted or ("hour" if self.count == 1 else "day")
        return "hour" if wanted == "hour" and self.by_hour_allowed else "day"

    @property
    def is_coarser(self) -> bool:
        """Return whether hours were requested, but the step is a day."""
        return self.wanted == "hour" and self.step == "day"


def recent(key: str, today: date, wanted: str = "") -> DateRange:
    """Return the days of one of RANGES."""
    return DateRange(today - timedelta(days=RANGES[key][1] - 1), today, wanted)


class DayField(forms.DateField):
    """A day, with the browser's date control and the format of HTML in every language."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
        limits = [MinValueValidator(NO_EARLIER), MaxValueValidator(NO_LATER)]
        super().__init__(widget=widget, validators=limits, **kwargs)


class RangeForm(forms.Form):
    """The choice of a date range and a step. All fields are optional; a custom range needs both ends."""

    range = forms.ChoiceField(
        label=gettext_lazy("时间"),
        choices=[*((key, label) for key, (label, _days) in RANGES.items()), (CUSTOM, gettext_lazy("自定义"))],
        required=False,
    )
    since = DayField(label=gettext_lazy("开始日期"), required=False)
    until = DayField(label=gettext_lazy("结束日期"), required=False)
    step = forms.ChoiceField(
        label=gettext_lazy("粒度"),
        choices=[("", gettext_lazy("自动")), ("hour", gettext_lazy("按小时")), ("day", gettext_lazy("按天"))],
        required=False,
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        since, until = cleaned.get("since"), cleaned.get("until")
        if cleaned.get("range") != CUSTOM:
            return cleaned
        if self.has_error("since") or self.has_error("until"):
            raise forms.ValidationError(
                _("日期无效：请填写 %(first)s 年至 %(last)s 年之间的日期。")
                % {"first": NO_EARLIER.year, "last": NO_LATER.year}
            )
        if not (since and until):
            raise forms.ValidationError(_("请填写开始日期和结束日期。"))
        if since > until:
            raise forms.ValidationError(_("开始日期不能晚于结束日期。"))
        if (until - since).days >= MAX_DAYS:
            raise forms.ValidationError(_("最长可查询 %(days)s 天，请缩短范围。") % {"days": MAX_DAYS})
        return cleaned

    def days(self, today: date) -> DateRange:
        """Return the chosen days; the last seven if the choice is missing or invalid."""
        chosen = self.cleaned_data
        wanted, key = chosen.get("step", ""), chosen.get("range") or DEFAULT
        if self.non_field_errors():
            return recent(DEFAULT, today, wanted)
        if key == CUSTOM:
            return DateRange(chosen["since"], chosen["until"], wanted)
        return recent(key, today, wanted)
