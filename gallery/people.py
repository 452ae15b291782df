"""Lists and exports of persons: all stored data except the templates."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Sum

from accounts.models import App
from gallery import groups, search, trail
from gallery.errors import NoSuchFace
from gallery.models import VECTORS, Action, Face, Group, Person, TrailEntry
from gallery.trail import Actor

MAX_TRAIL = 1000  # the newest entries of the audit trail in an export


@dataclass(frozen=True, slots=True)
class Listed:
    """A person with their faces, oldest first."""

    person: Person
    faces: list[Face]


def page(
    app: App, group_id: str, after: str, limit: int, *, prefix: str = ""
) -> tuple[list[Listed], str | None]:
    """Return the persons whose ids follow `after` and start with `prefix`, and the next `after`.

    The latter is None if there are no more. Raises NoSuchGroup.
    """
    group = groups.find(app, [group_id])[group_id]
    persons = Person.objects.filter(group=group, person_id__gt=after)
    if prefix:
        persons = persons.filter(person_id__startswith=prefix)
    rows = list(persons.order_by("person_id")[: limit + 1])
    faces: dict[int, list[Face]] = {row.pk: [] for row in rows[:limit]}
    for face in Face.objects.filter(person__in=faces).defer(*VECTORS):
        face.group = group
        faces[face.person_id].append(face)
    shown = [Listed(row, faces[row.pk]) for row in rows[:limit]]
    return shown, shown[-1].person.person_id if len(rows) > limit else None


def export(app: App, group_id: str, person_id: str, at: datetime, actor: Actor) -> dict[str, Any]:
    """Return the stored data of a person, for a subject access request.

    Templates are described, not included. Raises NoSuchGroup, NoSuchFace.
    """
    group = groups.find(app, [group_id])[group_id]
    person = Person.objects.filter(group=group, person_id=person_id).first()
    if person is None:
        raise NoSuchFace(group_id=group_id, person_id=person_id, face_id=None)
    trail.write(app, Action.EXPORT, at, actor, groups=[group_id], tags=[person.tag])
    of_person = TrailEntry.objects.filter(app=app, tags__contains=[person.tag])
    newest = list(of_person.order_by("-pk")[: MAX_TRAIL + 1])
    return {
        "app_id": app.app_id,
        "group_id": group_id,
        "person_id": person_id,
        "note": person.note,
        "notes_before": list(person.note_changes.order_by("pk").values_list("before", flat=True)),
        "created_at": person.created_at.isoformat(),
        "faces": [_face(face, group) for face in Face.objects.filter(person=person)],
        "trail": [
            {"at": entry.at.isoformat(), "action": entry.action, "faces": entry.faces}
            for entry in reversed(newest[:MAX_TRAIL])
        ],
        "is_trail_whole": len(newest) <= MAX_TRAIL,
        "stored": "A template of 258 numbers for each face, rotated with the group's key; no picture.",
    }


def _face(face: Face, group: Group) -> dict[str, Any]:
    ends_at = search.kept_until(face, group)
    return {
        "face_id": face.pk.hex,
        "enrolled_at": face.created_at.isoformat(),
        "quality": face.quality,
        "model_version": face.model_version,
        "consent_reference": face.consent_reference,
        "consent_expires_at": face.consent_expires_at.isoformat() if face.consent_expires_at else None,
        "deleted_by_itself_at": ends_at.isoformat() if ends_at else None,
    }


def stored_persons() -> int:
    """Return the number of persons stored in this installation."""
    return Person.objects.count()


def stored_faces() -> int:
    """Return the number of faces stored in this installation."""
    return Group.objects.aggregate(total=Sum("faces"))["total"] or 0
