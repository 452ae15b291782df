"""Maintain the HNSW index, which contains the faces of groups larger than GALLERY_EXACT_FACES.

An index entry takes milliseconds to create, so small groups are not indexed. A group is indexed in batches
(batches.py), and searched through the index once all of its faces are in it.
"""

from datetime import datetime

from django.conf import settings
from django.db import transaction

from gallery.locks import lock
from gallery.models import Face, Group
from gallery.vectors import batches

# A group leaves the index only below this share of the limit, so that a few faces do not move it in and out.
LEAVES_AT = 0.8


def update(at: datetime) -> int:
    """Index the groups above the limit, and remove the small ones; return the number of changed groups."""
    exact = settings.GALLERY_EXACT_FACES
    large = Group.objects.filter(indexed_at=None, faces__gt=exact).select_related("app")
    small = Group.objects.filter(indexed_at__isnull=False, faces__lt=exact * LEAVES_AT).select_related("app")
    return batches.each([*large, *small], lambda group: _move(group, at))


def _move(group: Group, at: datetime) -> int:
    if group.indexed_at is None:
        _enter(group, at)
    else:
        _leave(group)
    return 1


def _enter(group: Group, at: datetime) -> None:
    batches.change(
        group,
        Face.objects.filter(group=group, indexed=False),
        lambda some: Face.objects.filter(pk__in=some, indexed=False).update(indexed=True),
        # No enrolment meanwhile; later faces are indexed at once.
        finish=lambda: Group.objects.filter(pk=group.pk).update(indexed_at=at),
    )


def _leave(group: Group) -> None:
    """Stop searching a group through the index, then remove its faces from it."""
    with transaction.atomic():  # no enrolment meanwhile; later faces are not indexed
        lock(group.app)
        Group.objects.filter(pk=group.pk).update(indexed_at=None)
    batches.change(
        group,
        Face.objects.filter(group=group, indexed=True),
        lambda some: Face.objects.filter(pk__in=some, indexed=True).update(indexed=False),
    )


def waiting() -> int:
    """Return the number of groups above the limit that are not indexed yet."""
    return Group.objects.filter(indexed_at=None, faces__gt=settings.GALLERY_EXACT_FACES).count()
