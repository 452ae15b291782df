"""Enrolment of the faces of a request, all or none; writes Person and Face.

`check` refuses a request early, before its pictures are processed. `store` checks again under the lock of the
App, in the transaction that settles the call, so that a face is stored if and only if it is paid for.
`withdraw` removes the faces of a call whose answer was not sent, because that call is not charged.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from django.db import transaction
from django.db.models import Count, Sum

from accounts.models import App
from gallery import groups, search, trail
from gallery.errors import ConsentPast, GalleryFull, LooksLike, OtherModel, TooManyFaces
from gallery.locks import lock
from gallery.models import MAX_FACES_OF_PERSON, Action, Face, Group, NoteChange, Person
from gallery.retention import erasure, remembered
from gallery.trail import Actor
from gallery.vectors import conversion, keys, templates
from inference.calibration import scoring
from inference.results import Template

# No settle takes longer from its clock reading to its commit (faceapi/calls.py, common/postgresql/waits.py).
LONGEST_SETTLE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Entry:
    """A face to be enrolled. If `note` is None, the person's note is not changed."""

    group_id: str
    person_id: str
    consent_reference: str
    consent_expires_at: datetime | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Enrolled:
    """An entry with its template and the id that its face gets."""

    entry: Entry
    template: Template
    face_id: UUID


def with_ids(entries: Sequence[Entry], found: Sequence[Template], call_id: UUID) -> list[Enrolled]:
    """Assign each face its id, so that the answer can be built before the faces are stored.

    The id is derived from the call's id and the position, so that it is the same if `store` is repeated.
    """
    pairs = enumerate(zip(entries, found, strict=True))
    return [Enrolled(entry, template, uuid5(call_id, str(index))) for index, (entry, template) in pairs]


def check(app: App, entries: Sequence[Entry], at: datetime) -> dict[str, Group]:
    """Return the groups of a request, by id.

    Raises ConsentPast, NoSuchGroup, OtherModel, GalleryFull and TooManyFaces with the entry's index.
    """
    for index, entry in enumerate(entries):
        if entry.consent_expires_at is not None and entry.consent_expires_at <= at:
            raise ConsentPast(index=index)
    found = groups.find(app, [entry.group_id for entry in entries])
    version = scoring.template_version()
    for index, entry in enumerate(entries):
        group = found[entry.group_id]
        if group.faces and group.model_version != version:
            raise OtherModel(index=index, group_id=entry.group_id)
    limit = groups.face_limit(app)
    free = limit - stored_faces(app)
    if len(entries) > free:
        raise GalleryFull(index=max(0, free), what="faces", limit=limit)
    wanted = {(found[entry.group_id].pk, entry.person_id) for entry in entries}
    counts: Counter[tuple[int, str]] = Counter()
    persons = Person.objects.filter(group__in=found.values(), person_id__in={one for _pk, one in wanted})
    for pk, person_id, faces in persons.values_list("group", "person_id").annotate(Count("faces")):
        counts[pk, person_id] = faces
    for index, entry in enumerate(entries):
        person = found[entry.group_id].pk, entry.person_id
        counts[person] += 1
        if counts[person] > MAX_FACES_OF_PERSON:
            raise TooManyFaces(index=index, person_id=entry.person_id, limit=MAX_FACES_OF_PERSON)
    return found


def stored_faces(app: App) -> int:
    """Return the number of faces that the App has stored."""
    return Group.objects.filter(app=app).aggregate(total=Sum("faces"))["total"] or 0


def store(
    app: App,
    enrolled: Sequence[Enrolled],
    at: datetime,
    actor: Actor,
    *,
    unique_from: float | None = None,
    checked_at: datetime | None = None,
) -> None:
    """Store the faces of a call, each with its consent and an entry of the trail. Idempotent.

    Raises what `check` raises, and LooksLike if a face reaches the confidence `unique_from` with another
    person. If `refuse_look_alikes` was called at `checked_at`, only faces that were enrolled since then are
    compared under the lock.
    """
    call_id = actor.call_id
    if call_id is None:
        raise ValueError("the actor of an enrolment must be a call")
    with transaction.atomic():
        app = lock(app)
        if Face.objects.filter(call_id=call_id).exists():  # already stored; the reply to the commit was lost
            return
        found = check(app, [one.entry for one in enrolled], at)
        # Deleting a group needs the lock of the App too, so the groups' rows still exist below.
        if unique_from is not None:
            since = checked_at - LONGEST_SETTLE if checked_at is not None else None
            _refuse_look_alikes(found, enrolled, at, unique_from, since)
        persons = _persons(found, [one.entry for one in enrolled], at, call_id)
        version = scoring.template_version()
        with_former = conversion.are_former_kept()
        faces = []
        for offset, one in enumerate(enrolled):
            group = found[one.entry.group_id]
            stored = templates.stored(one.template, group)
            former = templates.former_stored(one.template, group) if with_former else None
            faces.append(
                Face(
                    pk=one.face_id,
                    group=group,
                    person=persons[one.entry.group_id, one.entry.person_id],
                    vector=stored.vector,
                    vector_remainder=stored.remainder,
                    embedding=former.vector if former else None,
                    remainder=former.remainder if former else None,
                    model_version=version,
                    quality=one.template.quality.score,
                    consent_reference=one.entry.consent_reference,
                    consent_expires_at=one.entry.consent_expires_at,
                    # Distinct and ascending, because lists are sorted by this time.
                    created_at=at + timedelta(microseconds=offset),
                    call_id=call_id,
                    indexed=group.indexed_at is not None,
                )
            )
        Group.objects.filter(pk__in=[group.pk for group in found.values()]).exclude(
            model_version=version
        ).update(model_version=version)
        Face.objects.bulk_create(faces)
        for group in found.values():
            own = [face for face in faces if face.group_id == group.pk]
            trail.write(
                app,
                Action.ENROL,
                at,
                actor,
                groups=[group.group_id],
                tags=[face.person.tag for face in own],
                faces=len(own),
            )


def _persons(
    found: dict[str, Group], entries: Sequence[Entry], at: datetime, call_id: UUID
) -> dict[tuple[str, str], Person]:
    """Return the persons of the entries by group id and person id, created or updated if necessary.

    The previous note is kept until the call can no longer be withdrawn.
    """
    wanted: dict[tuple[str, str], str | None] = {}
    for entry in entries:
        who = entry.group_id, entry.person_id
        wanted[who] = entry.note if entry.note is not None else wanted.get(who)
    Person.objects.bulk_create(
        [
            Person(
                group=found[group_id],
                person_id=person_id,
                tag=keys.tag(found[group_id], person_id),
                created_at=at,
            )
            for group_id, person_id in wanted
        ],
        ignore_conflicts=True,
    )
    rows = Person.objects.filter(
        group__in=found.values(), person_id__in={person_id for _group, person_id in wanted}
    ).select_related("group")
    persons = {(row.group.group_id, row.person_id): row for row in rows}
    changes = []
    for who, note in wanted.items():
        if note is not None and persons[who].note != note:
            changes.append(NoteChange(person=persons[who], call_id=call_id, before=persons[who].note, at=at))
            persons[who].note = note
    Person.objects.bulk_update([change.person for change in changes], ["note"])
    NoteChange.objects.bulk_create(changes)
    return persons


def refuse_look_alikes(app: App, enrolled: Sequence[Enrolled], at: datetime, same_from: float) -> None:
    """Raise LooksLike, with the entry's index, if a face reaches `same_from` with another person.

    It scans whole groups, so it is called before the App is locked; `store` checks the faces enrolled since.
    """
    found = groups.find(app, [one.entry.group_id for one in enrolled])
    _refuse_look_alikes(found, enrolled, at, same_from, None)


def _refuse_look_alikes(
    found: dict[str, Group],
    enrolled: Sequence[Enrolled],
    at: datetime,
    same_from: float,
    since: datetime | None,
) -> None:
    for index, one in enumerate(enrolled):
        group = found[one.entry.group_id]
        for other in enrolled[:index]:
            if other.entry.group_id != one.entry.group_id or other.entry.person_id == one.entry.person_id:
                continue
            if scoring.compare(one.template, other.template, same_from=same_from).same:
                raise LooksLike(index=index, person_id=other.entry.person_id)
        for match in search.nearest(group, one.template, top=2, at=at, enrolled_since=since):
            if match.person_id != one.entry.person_id and match.confidence >= same_from:
                raise LooksLike(index=index, person_id=match.person_id)


def withdraw(app: App, call_id: UUID, at: datetime) -> int:
    """Remove the faces of a call that is not charged because its answer was not sent; return their number."""
    with transaction.atomic():
        lock(app)
        faces = Face.objects.filter(call_id=call_id)
        persons = list(
            Person.objects.filter(faces__call_id=call_id)
            .distinct()
            .values_list("pk", "tag", "group__group_id")
        )
        deleted = erasure.delete(faces)
        _restore_notes(call_id)
        if deleted:
            remembered.forget(app.pk)
            erasure.delete_empty(Person.objects.filter(pk__in=[pk for pk, _tag, _group in persons]))
            trail.write(
                app,
                Action.WITHDRAW,
                at,
                Actor(call_id),
                groups=[group_id for _pk, _tag, group_id in persons],
                tags=[tag for _pk, tag, _group in persons],
                faces=deleted,
            )
        return deleted


def _restore_notes(call_id: UUID) -> None:
    """Undo the call's changes of notes; if a later call changed a note again, correct only its `before`."""
    changes = NoteChange.objects.filter(call_id=call_id)
    for change in changes:
        later = NoteChange.objects.filter(person=change.person_id, pk__gt=change.pk).order_by("pk").first()
        if later is not None:
            NoteChange.objects.filter(pk=later.pk).update(before=change.before)
        else:
            Person.objects.filter(pk=change.person_id).update(note=change.before)
    changes.delete()


def forget_notes(before: datetime) -> int:
    """Delete the records of changes of notes before this time; return their number."""
    deleted, _models = NoteChange.objects.filter(at__lt=before).delete()
    return deleted
