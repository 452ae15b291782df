"""Which groups are searched through the HNSW index: those with more than GALLERY_EXACT_FACES faces.

An index entry costs milliseconds to make, so small groups have none. A group comes into the index in batches,
and is searched through it when all of its faces are there.
"""

from datetime import datetime

from django.conf import settings
from django.db import transaction

from gallery.locks import lock
from gallery.models import Face, Group

BATCH = 2000
# A group leaves the index when it has become smaller by so much, so that one face more or less moves nothing.
LEAVES_AT = 0.8


def update(at: datetime) -> int:
    """Bring every group to where its size says; return how many groups have moved."""
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
    with transaction.atomic():  # no enrolment meanwhile: what is enrolled later is indexed from the start
        lock(group.app)
        while _enter_some(group):
            pass
        Group.objects.filter(pk=group.pk).update(indexed_at=at)


def _enter_some(group: Group) -> int:
    some = Face.objects.filter(group=group, indexed=False).order_by("pk").values("pk")[:BATCH]
    return Face.objects.filter(pk__in=some).update(indexed=True)


def _leave(group: Group) -> None:
    """Take a group out of the index: first for searches, then its faces."""
    with transaction.atomic():  # no enrolment meanwhile: what is enrolled later is not indexed
        lock(group.app)
        Group.objects.filter(pk=group.pk).update(indexed_at=None)
    while _leave_some(group):
        pass


def _leave_some(group: Group) -> int:
    some = Face.objects.filter(group=group, indexed=True).order_by("pk").values("pk")[:BATCH]
    return Face.objects.filter(pk__in=some).update(indexed=False)


def waiting() -> int:
    """Return how many groups are over the limit and not indexed yet."""
    return Group.objects.filter(indexed_at=None, faces__gt=settings.GALLERY_EXACT_FACES).count()
