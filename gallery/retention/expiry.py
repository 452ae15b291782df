"""Expiry: faces whose consent or retention has ended are deleted each night, after a notice."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import Count, DateTimeField, ExpressionWrapper, F, Min, QuerySet, Value
from django.db.models.functions import Least, TruncDate

from billing.models import Notice, NoticeKind
from billing.notices import due
from gallery import trail
from gallery.locks import lock
from gallery.models import Action, Face, Group, Person
from gallery.retention import erasure, remembered
from gallery.trail import SYSTEM

DAYS_BEFORE = 7

log = logging.getLogger(__name__)


def expired(group: Group, at: datetime) -> "QuerySet[Face]":
    """Return the faces of a group that may not be kept at `at`."""
    faces = Face.objects.filter(group=group)
    found = faces.filter(consent_expires_at__lte=at)
    if group.retention_days is not None:
        found |= faces.filter(created_at__lte=at - timedelta(days=group.retention_days))
    return found


def delete_expired(at: datetime) -> int:
    """Delete every face that may no longer be kept, one transaction per group; return their number.

    If the deletion fails for a group, the others are still processed; the last error is raised at the end.
    """
    deleted = 0
    failure: DatabaseError | None = None
    for group in Group.objects.filter(faces__gt=0).select_related("app").order_by("pk"):
        if not expired(group, at).exists():
            continue
        try:
            deleted += _delete_expired_of(group, at)
        except DatabaseError as error:
            log.exception("expired faces of group %s were not deleted", group.pk)
            failure = error
    if failure is not None:
        raise failure
    return deleted


def _delete_expired_of(group: Group, at: datetime) -> int:
    with transaction.atomic():
        lock(group.app)
        faces = expired(group, at)
        persons = Person.objects.filter(pk__in=faces.order_by().values("person").distinct())
        tags = list(persons.values_list("tag", flat=True))
        pks = list(persons.values_list("pk", flat=True))
        gone = erasure.delete(faces)
        remembered.forget(group.app_id)
        erasure.delete_empty(Person.objects.filter(pk__in=pks))
        for first in range(0, len(tags), trail.MAX_TAGS):
            some = tags[first : first + trail.MAX_TAGS]
            trail.write(
                group.app,
                Action.EXPIRE,
                at,
                SYSTEM,
                groups=[group.group_id],
                tags=some,
                faces=gone if first == 0 else 0,
            )
        return gone


def notify(at: datetime) -> int:
    """Write a notice for each group and day on which faces will be deleted, within DAYS_BEFORE from `at`.

    Returns the number of new notices.
    """
    return due.add(_due(at), at)


def _due(at: datetime) -> Iterator[Notice]:
    until = at + timedelta(days=DAYS_BEFORE)
    for group in Group.objects.filter(faces__gt=0).select_related("app").order_by("pk"):
        ends_at = _ends_at(group)
        days = (
            expired(group, until)
            .order_by()
            .alias(ends_at=ends_at)
            .filter(ends_at__gt=at)
            .annotate(day=TruncDate(ends_at))
            .values("day")
            .annotate(expiring=Count("pk"), first=Min(ends_at))
            .order_by("day")
        )
        for found in days:
            yield Notice(
                customer_id=group.app.customer_id,
                kind=NoticeKind.FACES,
                key=f"faces {group.pk} {found['day']:%F}",
                app_id=group.app_id,
                detail=f"{group.group_id} {found['expiring']}",
                ends_at=found["first"],
                created_at=at,
            )


def _ends_at(group: Group) -> Any:
    """Return the end of a face's consent or retention, whichever is first."""
    if group.retention_days is None:
        return F("consent_expires_at")
    kept_for = timedelta(days=group.retention_days)
    retained = ExpressionWrapper(F("created_at") + Value(kept_for), DateTimeField())
    return Least("consent_expires_at", retained)  # PostgreSQL ignores a NULL
