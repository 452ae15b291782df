"""Complete deletion of persons and faces, at the customer's request or by expiry."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from accounts.models import App
from gallery import trail
from gallery.locks import lock
from gallery.models import Action, Face, Group, Person
from gallery.retention import remembered
from gallery.trail import Actor


def delete_person(
    app: App, group_id: str, person_id: str, at: datetime, actor: Actor, *, face_id: UUID | None = None
) -> int:
    """Delete one or all faces of a person, and the person if none is left; return the number of faces.

    Returns 0 for a group, person or face that does not exist.
    """
    with transaction.atomic():
        lock(app)
        person = Person.objects.filter(group__app=app, group__group_id=group_id, person_id=person_id).first()
        if person is None:
            return 0
        faces = Face.objects.filter(person=person)
        if face_id is not None:
            faces = faces.filter(pk=face_id)
        deleted = delete(faces)
        if face_id is None:
            Person.objects.filter(pk=person.pk).delete()
        else:
            delete_empty(Person.objects.filter(pk=person.pk))
        if deleted:
            remembered.forget(app.pk)
            trail.write(app, Action.ERASE, at, actor, groups=[group_id], tags=[person.tag], faces=deleted)
        return deleted


def delete(faces: "QuerySet[Face]") -> int:
    """Delete faces with one statement, and return their number; no other table refers to a face."""
    found: Any = faces
    return int(found._raw_delete(found.db))


def delete_empty(persons: "QuerySet[Person]") -> int:
    """Delete the persons that have no face, and return their number."""
    empty: Any = persons.filter(~Exists(Face.objects.filter(person=OuterRef("pk"))))
    return int(empty._raw_delete(empty.db))


def empty(group: Group) -> int:
    """Delete the faces and persons of a group, and return the number of faces."""
    faces = delete(Face.objects.filter(group=group))
    persons: Any = Person.objects.filter(group=group)
    persons._raw_delete(persons.db)
    return faces
