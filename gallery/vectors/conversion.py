"""Convert the vectors of the version before to the present form, and delete the former ones.

The length of a former vector depended on the face, so two galleries that contain the same picture could be
linked by it. `migrate` converts all faces. The former vectors stay until the night after, because processes
of the version before still read and write them during an upgrade, or after going back to that version. Until
then an enrolment stores both forms. To be removed with the columns.
"""

import logging
from functools import partial
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError
from django.db import connection
from django.db.models import QuerySet

from gallery.models import Face, Group
from gallery.vectors import batches, keys, templates

WRONG_KEY = (
    "The stored faces of these groups cannot be converted, because ENCRYPTION_KEY does not decrypt their "
    "data keys: {groups}. Add the former key to ENCRYPTION_KEY, after a comma, and run migrate again. If the "
    "key is lost, nothing can use these faces: delete the groups (the customer in the console, or all groups "
    "of an App by `manage.py erase_gallery --app APP_ID`), and run migrate again."
)
MAX_NAMED = 20  # groups in the message

log = logging.getLogger(__name__)

_CONVERTED = """
UPDATE gallery_face AS face
   SET vector = made.vector::halfvec, vector_remainder = made.remainder::halfvec
  FROM unnest(%s::uuid[], %s::text[], %s::text[]) AS made(id, vector, remainder)
 WHERE face.id = made.id
"""


def convert_at_migrate(apps: Any, schema_editor: Any) -> None:
    """Convert all faces, as a step of a migration. Raises CommandError if a group's key is unreadable."""
    convert()
    if unreadable := [_name(group) for group in _groups_of(_waiting()) if not keys.is_readable(group)]:
        more = f" and {len(unreadable) - MAX_NAMED} more" if len(unreadable) > MAX_NAMED else ""
        raise CommandError(WRONG_KEY.format(groups=", ".join(unreadable[:MAX_NAMED]) + more))


def convert() -> int:
    """Convert all faces that have only a former vector; return their number.

    Groups whose key is unreadable are logged and skipped, so that the others do not wait for them.
    """
    return batches.each(_groups_of(_waiting()), _convert_group)


def _convert_group(group: Group) -> int:
    if not keys.is_readable(group):
        log.error("faces were not converted: ENCRYPTION_KEY does not decrypt the key of %s", _name(group))
        return 0
    return batches.change(group, _waiting().filter(group=group), partial(_convert, group))


def _waiting() -> "QuerySet[Face]":
    return Face.objects.filter(embedding__isnull=False, vector=None)


def _name(group: Group) -> str:
    return f"App {group.app.app_id} group {group.group_id}"


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
