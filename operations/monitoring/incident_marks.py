"""Marks of incidents on time charts."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Region
from console.reports.charts import Mark
from operations.models import Incident
from operations.monitoring import incidents

SHOWN = 100  # per chart; more marks would not be distinguishable


def sentence(incident: Incident) -> str:
    """Describe the incident in the reader's language."""
    rule = incidents.rule_of(incident)
    values = defaultdict(lambda: "–", incident.facts)
    if codes := values.get("regions", "").split():
        names = {region.code: str(region) for region in Region.objects.filter(code__in=codes)}
        values["regions"] = _("、").join(names.get(code, code) for code in codes)
    return rule.what % values if rule else incident.rule


def marks(starts: Sequence[datetime], width: timedelta, at: datetime) -> list[Mark]:
    """Return a mark for each incident within the steps that begin at `starts`, oldest first.

    A mark covers every step during which the incident lasted, so that a short one can be seen too.
    """
    if not starts:
        return []
    since, until = starts[0], starts[-1] + width
    found = list(incidents.between(since, until)[:SHOWN])
    return [
        Mark(
            max(0, int((incident.started_at - since) / width)),
            min(len(starts) - 1, max(0, int(((incident.ended_at or at) - since) / width))),
            _text(incident),
        )
        for incident in reversed(found)
    ]


def _text(incident: Incident) -> str:
    start = timezone.localtime(incident.started_at).strftime("%m-%d %H:%M")
    end = timezone.localtime(incident.ended_at).strftime("%H:%M") if incident.ended_at else _("进行中")
    return f"{start} – {end}  {sentence(incident)}"
