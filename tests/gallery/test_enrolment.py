"""Enrolment: limits, unique persons, withdrawal, notes."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from pytest_django import Settings

from accounts.models import App
from gallery import enrolment, people
from gallery.enrolment import Entry
from gallery.errors import ConsentPast, GalleryFull, LooksLike, NoSuchGroup, TooManyFaces
from gallery.models import Face, Group, NoteChange, Person
from gallery.retention import erasure
from gallery.trail import Actor
from tests.gallery.conftest import Enrol, actions, breaks, template

pytestmark = pytest.mark.django_db


def test_a_missing_group_and_a_past_consent_are_refused_with_their_index(app: App, now: datetime) -> None:
    good = Entry("staff", "p", "HR-12")
    with pytest.raises(NoSuchGroup) as missing:
        enrolment.check(app, [good, Entry("nobody", "p", "HR-12")], now)
    with pytest.raises(ConsentPast) as past:
        enrolment.check(app, [good, good, Entry("staff", "p", "HR-12", now)], now)
    assert (missing.value.index, past.value.index) == (1, 2)


def test_the_gallery_is_full_at_its_limit(app: App, enrol: Enrol, now: datetime, settings: Settings) -> None:
    settings.GALLERY_FACES_PER_APP = 2
    enrol(app, "a", template(1))
    with pytest.raises(GalleryFull) as refused:
        enrolment.check(app, [Entry("staff", "b", "HR"), Entry("staff", "c", "HR")], now)
    assert (refused.value.index, refused.value.values["limit"]) == (1, 2)
    enrol(app, "b", template(2))
    App.objects.filter(pk=app.pk).update(face_limit=3)
    enrol(app, "c", template(3))
    with pytest.raises(GalleryFull):
        enrol(app, "d", template(4))
    assert not breaks(now)


def test_a_person_has_at_most_twenty_faces(app: App, enrol: Enrol, now: datetime) -> None:
    for seed in range(20):
        enrol(app, "p", template(seed, like=1))
    with pytest.raises(TooManyFaces):
        enrol(app, "p", template(21, like=1))
    with pytest.raises(TooManyFaces) as refused:
        enrolment.check(app, [Entry("staff", "q", "HR")] * 21, now)
    assert refused.value.index == 20


def test_unique_rejects_a_face_of_another_person(app: App, enrol: Enrol, now: datetime) -> None:
    enrol(app, "p", template(1))
    again = template(2, like=1)
    with pytest.raises(LooksLike) as refused:
        enrol(app, "q", again, unique=True)
    assert refused.value.values == {"person_id": "p"}
    enrol(app, "p", again, unique=True)
    enrol(app, "q", template(3, like=1))
    pair = [template(4), template(5, like=4)]
    faces = enrolment.with_ids([Entry("staff", "r", "HR"), Entry("staff", "s", "HR")], pair, uuid4())
    with pytest.raises(LooksLike) as refused:
        enrolment.store(app, faces, now, Actor(uuid4()), unique_from=70.0)
    assert (refused.value.index, refused.value.values["person_id"]) == (1, "r")
    assert not Person.objects.filter(person_id__in=["r", "s"]).exists()


def test_the_whole_group_is_scanned_for_look_alikes_before_the_lock(
    app: App, enrol: Enrol, now: datetime
) -> None:
    """Under the lock, only the faces that were enrolled since are scanned."""
    enrol(app, "old", template(1), at=now - timedelta(hours=1))
    call_id = uuid4()
    alike = enrolment.with_ids([Entry("staff", "new", "HR")], [template(2, like=1)], call_id)
    with pytest.raises(LooksLike):
        enrolment.refuse_look_alikes(app, alike, now, 70.0)
    enrolment.store(app, alike, now, Actor(call_id), unique_from=70.0, checked_at=now)
    other = enrolment.with_ids([Entry("staff", "late", "HR")], [template(3, like=4)], uuid4())
    enrolment.refuse_look_alikes(app, other, now, 70.0)
    enrol(app, "first", template(4), at=now)
    with pytest.raises(LooksLike) as refused:
        enrolment.store(app, other, now, Actor(uuid4()), unique_from=70.0, checked_at=now)
    assert refused.value.values == {"person_id": "first"}


def test_storing_again_changes_nothing(app: App, now: datetime) -> None:
    """A settle whose commit was not acknowledged is retried."""
    call_id = uuid4()
    faces = enrolment.with_ids([Entry("staff", "p", "HR")], [template(1)], call_id)
    assert faces == enrolment.with_ids([Entry("staff", "p", "HR")], [template(1)], call_id)
    for _ in range(2):
        enrolment.store(app, faces, now, Actor(call_id))
    assert Face.objects.count() == 1
    assert actions(app).count("enrol") == 1


def test_a_withdrawn_enrolment_is_removed(app: App, enrol: Enrol, now: datetime) -> None:
    enrol(app, "p", template(1))
    call_id = enrol(app, "p", template(2, like=1))
    other = enrol(app, "q", template(3))
    assert enrolment.withdraw(app, call_id, now) == 1
    assert enrolment.withdraw(app, other, now) == 1
    assert list(Person.objects.values_list("person_id", flat=True)) == ["p"]
    assert Group.objects.get().faces == 1
    assert not breaks(now)


def test_a_note_stays_until_another_is_sent(app: App, enrol: Enrol) -> None:
    enrol(app, "p", template(1), note="三楼")
    enrol(app, "p", template(2, like=1))
    assert Person.objects.get().note == "三楼"
    enrol(app, "p", template(3, like=1), note="")
    assert Person.objects.get().note == ""


def test_a_withdrawn_enrolment_restores_the_note(app: App, enrol: Enrol, now: datetime) -> None:
    enrol(app, "p", template(1), note="first")
    second = enrol(app, "p", template(2, like=1), note="second")
    third = enrol(app, "p", template(3, like=1), note="third")
    enrolment.withdraw(app, second, now)
    assert Person.objects.get().note == "third"
    enrolment.withdraw(app, third, now)
    assert Person.objects.get().note == "first"


def test_a_withdrawn_enrolment_of_a_new_person_leaves_no_note(app: App, enrol: Enrol, now: datetime) -> None:
    first = enrol(app, "p", template(1), note="first")
    enrol(app, "p", template(2, like=1))
    enrolment.withdraw(app, first, now)
    assert Person.objects.get().note == ""


def test_earlier_notes_are_exported_and_deleted_by_expiry_and_erasure(
    app: App, enrol: Enrol, now: datetime
) -> None:
    enrol(app, "p", template(1), note="first")
    enrol(app, "p", template(2, like=1), note="second")
    assert people.export(app, "staff", "p", now, Actor())["notes_before"] == ["", "first"]
    assert enrolment.forget_notes(now) == 0
    assert enrolment.forget_notes(now + timedelta(seconds=1)) == 2
    enrol(app, "p", template(3, like=1), note="third")
    erasure.delete_person(app, "staff", "p", now, Actor())
    assert not NoteChange.objects.exists()
