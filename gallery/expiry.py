"""Expiry: faces whose consent or retention is over are deleted each night; a notice comes before."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import DatabaseError, transaction
from django.db.models import Count, Min, QuerySet

from billing import notices
from billing.models import Notice, NoticeKind
from gallery import erasure, remembered, trail
from gallery.locks import lock
from gallery.models import Action, Face, Group, Person
from gallery.trail import NIGHTLY

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
    """Delete every face that may no longer be kept, one transaction a group; return how many.

    A group whose deletion fails does not stop the others; the error of the last one is raised at the end.
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
                NIGHTLY,
                groups=[group.group_id],
                tags=some,
                faces=gone if first == 0 else 0,
            )
        return gone


def notify(at: datetime) -> int:
    """Write a notice for each group whose faces will be deleted within DAYS_BEFORE; how many are new."""
    return notices.add(_due(at), at)


def _due(at: datetime) -> Iterator[Notice]:
    """One notice a group and day on which faces of it expire."""
    until = at + timedelta(days=DAYS_BEFORE)
    for group in Group.objects.filter(faces__gt=0).select_related("app").order_by("pk"):
        found = (
            expired(group, until)
            .order_by()
            .aggregate(faces=Count("pk"), consent=Min("consent_expires_at"), created=Min("created_at"))
        )
        if not found["faces"]:
            continue
        ends = [found["consent"]] if found["consent"] is not None else []
        if group.retention_days is not None:
            ends.append(found["created"] + timedelta(days=group.retention_days))
        ends_at = max(at, min(ends))
        yield Notice(
            customer_id=group.app.customer_id,
            kind=NoticeKind.FACES,
            key=f"faces {group.pk} {ends_at:%F}",
            app_id=group.app_id,
            detail=f"{group.group_id} {found['faces']}",
            ends_at=ends_at,
            created_at=at,
        )
