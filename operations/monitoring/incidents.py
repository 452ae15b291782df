"""Record when each bad finding began and ended, once a minute.

If nothing was recorded for GAP, the schedule, its worker, Valkey or PostgreSQL was down: that time becomes a
separate incident once the schedule runs again.
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, QuerySet

from operations.models import Incident, Watch
from operations.monitoring.findings import RULES, UNWATCHED, Rule, facts
from operations.monitoring.health import State

GAP = timedelta(minutes=3)
KEPT = timedelta(days=400)


@transaction.atomic
def record(state: State) -> None:
    """Start, continue and end incidents according to the state, and delete those older than KEPT."""
    watch, is_first = Watch.objects.select_for_update().get_or_create(pk=1, defaults={"at": state.at})
    if not is_first and state.at - watch.at > GAP:
        Incident.objects.create(rule=UNWATCHED.key, started_at=watch.at, seen_at=state.at, ended_at=state.at)
    Watch.objects.filter(pk=watch.pk).update(at=state.at)
    holding = {rule.key for rule in RULES if rule.level == "bad" and rule.holds(state)}
    failed = state.traffic.broken + state.traffic.timed_out + state.traffic.overloaded  # of one minute
    still_open = set(_open().values_list("rule", flat=True))
    _open().filter(rule__in=holding).update(seen_at=state.at, failed_calls=F("failed_calls") + failed)
    _open().exclude(rule__in=holding).update(ended_at=state.at)
    numbers = {name: str(value) for name, value in facts(state).items()}
    numbers["regions"] = " ".join(region.code for region in state.regions_without_worker)  # in no language
    Incident.objects.bulk_create(
        [
            Incident(
                rule=key,
                facts=numbers,
                started_at=state.at,
                seen_at=state.at,
                failed_calls=failed,
            )
            for key in sorted(holding - still_open)
        ],
        ignore_conflicts=True,
    )
    Incident.objects.filter(ended_at__lt=state.at - KEPT).delete()


def _open() -> "QuerySet[Incident]":
    return Incident.objects.filter(ended_at=None)


def between(since: datetime, until: datetime) -> "QuerySet[Incident]":
    """Return the incidents that overlap [since, until), newest first."""
    return Incident.objects.filter(started_at__lt=until).exclude(ended_at__lt=since)


def rule_of(incident: Incident) -> Rule | None:
    """Return the rule of an incident; None if this version no longer has it."""
    return next((rule for rule in (*RULES, UNWATCHED) if rule.key == incident.rule), None)
