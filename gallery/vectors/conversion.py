"""Convert the vectors of the version before to the present form, and delete the former ones.

The length of a former vector depended on the face, so two galleries that contain the same picture could be
linked by it. `migrate` converts all faces. The former vectors stay until the night after, because processes
of the version before still read and write them during an upgrade, or after going back to that version. Until
then an enrolment stores both forms. To be removed with the columns.
"""

from functools import partial
from typing import Any
from uuid import UUID

from cryptography.fernet import InvalidToken
from django.core.management.base import CommandError
from django.db import connection
from django.db.models import QuerySet

from gallery.models import Face, Group
from gallery.vectors import batches, templates

WRONG_KEY = (
    "The stored faces cannot be converted, because ENCRYPTION_KEY does not decrypt the key of a gallery: "
    "add the former key to it, after a comma, and run migrate again."
)
_CONVERTED = """
UPDATE gallery_face AS face
   SET vector = made.vector::halfvec, vector_remainder = made.remainder::halfvec
  FROM unnest(%s::uuid[], %s::text[], %s::text[]) AS made(id, vector, remainder)
 WHERE face.id = made.id
"""


def convert_at_migrate(apps: Any, schema_editor: Any) -> None:
    """Convert all faces, as a step of a migration. Raises CommandError if a gallery's key is unreadable."""
    try:
        convert()
    except InvalidToken:
        raise CommandError(WRONG_KEY) from None


def convert() -> int:
    """Convert all faces that have only a former vector; return their number."""
    waiting = Face.objects.filter(embedding__isnull=False, vector=None)
    return batches.each(
        _groups_of(waiting),
        lambda group: batches.change(group, waiting.filter(group=group), partial(_convert, group)),
    )


def _convert(group: Group, some: list[UUID]) -> None:
    vectors: list[str] = []
    remainders: list[str] = []
    faces = {face.pk: face for face in Face.objects.filter(pk__in=some)}
    for pk in some:
        face = faces[pk]
        template = templates.former(face.embedding, face.remainder, face.quality, group)
        stored = templates.stored(template, group)
        vectors.append(str(stored.vector))
        remainders.append(str(stored.remainder))
    with connection.cursor() as cursor:
        cursor.execute(_CONVERTED, [some, vectors, remainders])


def are_former_kept() -> bool:
    """Return whether the former vectors have not been deleted since `migrate`, so that new faces need one.

    A gallery without faces counts as not deleted: the version before may still serve it.
    """
    return Face.objects.filter(embedding__isnull=False).exists() or not Face.objects.exists()


def discard() -> int:
    """Delete the former vectors of all converted faces; return their number."""
    converted = Face.objects.filter(embedding__isnull=False, vector__isnull=False)

    def delete(some: list[UUID]) -> None:
        Face.objects.filter(pk__in=some).update(embedding=None, remainder=None)

    discarded = 0
    # Again, because faces may have been enrolled with both forms into groups that were already done.
    while found := batches.each(
        _groups_of(converted), lambda group: batches.change(group, converted.filter(group=group), delete)
    ):
        discarded += found
    return discarded


def _groups_of(faces: "QuerySet[Face]") -> "QuerySet[Group]":
    return Group.objects.filter(pk__in=faces.values("group").distinct()).select_related("app")
