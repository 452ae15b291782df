"""Usage as the pages show it: today's figures and the charts, over faceapi.operator_reports."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from console.charts import Chart, Series
from faceapi.operator_reports import Figures, Span, Usage, usage


def midnight(at: datetime) -> datetime:
    """The local midnight that began the day of `at`."""
    return timezone.localtime(at).replace(hour=0, minute=0, second=0, microsecond=0)


def week_of(customer: User, at: datetime) -> tuple[Figures, Chart]:
    """Today's figures of all the customer's Apps, and the calls of the last seven days."""
    today = midnight(at)
    week = usage(Span(today - timedelta(days=6), today + timedelta(days=1), customer=customer.pk))
    return week.by_step[today], calls_of(week, "day", _("近 7 天调用次数"))


def labels(made: Usage, step: str) -> list[str]:
    """The days, or hours, along a chart."""
    form = "%m-%d" if step == "day" else "%m-%d %H:%M"
    return [start.strftime(form) for start in made.by_step]


def calls_of(made: Usage, step: str, title: str) -> Chart:
    """Calls that succeeded and calls that failed."""
    return Chart(
        id="chart-calls",
        title=title,
        labels=labels(made, step),
        unit=_("次"),
        series=[
            Series(_("成功"), [figures.ok for figures in made.by_step.values()], 1),
            Series(_("失败"), [figures.failed for figures in made.by_step.values()], 2),
        ],
    )


def units_of(made: Usage, step: str, unit: str) -> Chart:
    """Units that were charged, in the meter's unit; without one where APIs of different meters are summed."""
    values = [figures.units for figures in made.by_step.values()]
    return Chart("chart-units", _("计费量"), labels(made, step), [Series(_("计费量"), values, 3)], unit)


def latency_of(made: Usage, step: str) -> Chart:
    """Half of the successful calls, and all but one in twenty, were answered within this."""

    def of(share: Callable[[Figures], float | None]) -> list[int | None]:
        times = [share(figures) for figures in made.by_step.values()]
        return [None if time is None else round(time) for time in times]

    return Chart(
        id="chart-latency",
        title=_("处理耗时"),
        labels=labels(made, step),
        unit="ms",
        series=[
            Series("p50", of(lambda figures: figures.p50_ms), 4),
            Series("p95", of(lambda figures: figures.p95_ms), 5, dashed=True),
        ],
    )
