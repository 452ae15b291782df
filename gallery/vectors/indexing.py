"""Maintain the HNSW index, which contains the faces of groups larger than GALLERY_EXACT_FACES.

An index entry takes milliseconds to create, so small groups are not indexed. A group is indexed in batches,
and searched through the index once all of its faces are in it.
"""

from datetime import datetime

from django.conf import settings
from django.db import transaction

from gallery.locks import lock
from gallery.models import Face, Group

BATCH = 2000
# A group leaves the index only below this share of the limit, so that a few faces do not move it in and out.
LEAVES_AT = 0.8


def update(at: datetime) -> int:
    """Index the groups above the limit, and remove the small ones; return the number of changed groups."""
    exact = settings.GALLERY_EXACT_FACES
    moved = 0
    for group in Group.objects.filter(indexed_at=None, faces__gt=exact).select_related("app"):
        _enter(group, at)
        moved += 1
    small = Group.objects.filter(indexed_at__isnull=False, faces__lt=exact * LEAVES_AT)
    for group in small.select_related("app"):
        _leave(group)
        moved += 1
    return moved


def _enter(group: Group, at: datetime) -> None:
    while _enter_some(group):
        pass
    with transaction.atomic():  # no enrolment meanwhile; later faces are indexed at once
        lock(group.app)
        while _enter_some(group):
            pass
        Group.objects.filter(pk=group.pk).update(indexed_at=at)


def _enter_some(group: Group) -> int:
    some = Face.objects.filter(group=group, indexed=False).order_by("pk").values("pk")[:BATCH]
    return Face.objects.filter(pk__in=some).update(indexed=True)


def _leave(group: Group) -> None:
    """Stop searching a group through the index, then remove its faces from it."""
    with transaction.atomic():  # no enrolment meanwhile; later faces are not indexed
        lock(group.app)
        Group.objects.filter(pk=group.pk).update(indexed_at=None)
    while _leave_some(group):
        pass


def _leave_some(group: Group) -> int:
    some = Face.objects.filter(group=group, indexed=True).order_by("pk").values("pk")[:BATCH]
    return Face.objects.filter(pk__in=some).update(indexed=False)


def waiting() -> int:
    """Return the number of groups above the limit that are not indexed yet."""
    return Group.objects.filter(indexed_at=None, faces__gt=settings.GALLERY_EXACT_FACES).count()
