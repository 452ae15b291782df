"""Convert the vectors of the version before to the present form, and delete the former ones.

The length of a former vector depended on the face, so two galleries that contain the same picture could be
linked by it. `migrate` converts all faces. The former vectors stay until the night after, because processes
of the version before still read and write them during an upgrade. To be removed with the columns.
"""

from typing import Any
from uuid import UUID

from cryptography.fernet import InvalidToken
from django.core.management.base import CommandError
from django.db import connection

from gallery.models import Face, Group
from gallery.vectors import templates

BATCH = 1000
WRONG_KEY = (
    "The stored faces cannot be converted, because ENCRYPTION_KEY does not decrypt the key of a gallery: "
    "add the former key to it, after a comma, and run migrate again."
)
# In groups whose App is not locked: a face that is deleted meanwhile is not updated.
_CONVERTED = """
UPDATE gallery_face AS face
   SET vector = made.vector::halfvec, vector_remainder = made.remainder::halfvec
  FROM unnest(%s::uuid[], %s::text[], %s::text[]) AS made(id, vector, remainder)
 WHERE face.id = made.id
"""
_DISCARDED = """
UPDATE gallery_face SET embedding = NULL, remainder = NULL
 WHERE id IN (SELECT id FROM gallery_face WHERE embedding IS NOT NULL AND vector IS NOT NULL LIMIT %s)
"""


def convert_at_migrate(apps: Any, schema_editor: Any) -> None:
    """Convert all faces, as a step of a migration. Raises CommandError if a gallery's key is unreadable."""
    try:
        convert()
    except InvalidToken:
        raise CommandError(WRONG_KEY) from None


def convert() -> int:
    """Convert all faces that have only a former vector; return their number."""
    converted = 0
    waiting = Face.objects.filter(embedding__isnull=False, vector=None)
    for group in Group.objects.filter(pk__in=waiting.values("group").distinct()):
        while rows := list(
            waiting.filter(group=group)
            .order_by("pk")
            .values_list("pk", "embedding", "remainder", "quality")[:BATCH]
        ):
            ids: list[UUID] = []
            vectors: list[str] = []
            remainders: list[str] = []
            for pk, embedding, remainder, quality in rows:
                template = templates.former(embedding, remainder, quality, group)
                stored = templates.stored(template, group)
                ids.append(pk)
                vectors.append(str(stored.vector))
                remainders.append(str(stored.remainder))
            with connection.cursor() as cursor:
                cursor.execute(_CONVERTED, [ids, vectors, remainders])
            converted += len(rows)
    return converted


def discard() -> int:
    """Delete the former vectors of all converted faces; return their number."""
    discarded = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(_DISCARDED, [BATCH])
            if not cursor.rowcount:
                return discarded
            discarded += cursor.rowcount
