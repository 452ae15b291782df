"""Faces that the version before stored are converted, and can be compared before that."""

from datetime import datetime
from io import StringIO

import numpy as np
import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import IntegrityError, transaction
from pytest_django import Settings

from accounts.models import App
from gallery import search, tasks
from gallery.models import Face, Group
from gallery.vectors import conversion, keys, templates
from inference.calibration import scoring
from inference.results import Template
from tests.gallery.conftest import Enrol, template

pytestmark = pytest.mark.django_db


def as_before(face: Face, of: Template) -> None:
    """Store a face as the version before did."""
    vector = keys.former_rotation(face.group) @ np.array([*scoring.fused_vector(of), of.constant])
    former = templates.halves(vector)
    face.vector = face.vector_remainder = None
    face.embedding, face.remainder = former.vector, former.remainder
    face.save()


@pytest.fixture
def stored(app: App, enrol: Enrol) -> dict[str, Template]:
    people = {f"p{seed}": template(seed) for seed in range(8)}
    for person_id, of in people.items():
        enrol(app, person_id, of)
        as_before(Face.objects.get(person__person_id=person_id), of)
    return people


def test_a_converted_face_scores_as_face_compare_does(stored: dict[str, Template], now: datetime) -> None:
    assert conversion.convert() == 8
    assert conversion.convert() == 0
    probe = template(99, like=3, noise=0.8)
    group = Group.objects.get()
    found = {match.person_id: match.confidence for match in search.nearest(group, probe, top=8, at=now)}
    expected = {who: scoring.compare(of, probe).confidence for who, of in stored.items()}
    assert found == pytest.approx(expected, abs=0.0005)
    assert search.nearest(group, stored["p5"], top=1, at=now)[0].confidence == 100.0


def test_faces_of_the_version_before_are_compared_and_not_searched(
    app: App, enrol: Enrol, stored: dict[str, Template], now: datetime
) -> None:
    """An old process enrolled them during the upgrade. They are converted in minutes."""
    enrol(app, "new", template(20))
    found = search.nearest(Group.objects.get(), template(20), top=5, at=now)
    assert [match.person_id for match in found] == ["new"]
    known = search.look_up(app, [search.Reference("staff", "p3", None, 0)], now)
    assert scoring.compare(known[0].templates[0], stored["p3"]).confidence == 100.0
    tasks.index_large_groups()
    found = search.nearest(Group.objects.get(), stored["p3"], top=1, at=now)
    assert (found[0].person_id, found[0].confidence) == ("p3", 100.0)


def test_the_former_vectors_are_deleted_at_night(stored: dict[str, Template], now: datetime) -> None:
    tasks.delete_expired()
    assert Face.objects.filter(embedding__isnull=False).count() == 8  # nothing that is not converted yet
    conversion.convert()
    tasks.delete_expired()
    assert not Face.objects.exclude(embedding=None, remainder=None).exists()
    assert search.nearest(Group.objects.get(), stored["p5"], top=1, at=now)[0].person_id == "p5"


def test_a_face_without_a_vector_is_rejected(stored: dict[str, Template]) -> None:
    with pytest.raises(IntegrityError, match="gallery_face_has_vector"), transaction.atomic():
        Face.objects.update(embedding=None)


@pytest.fixture
def lost(app: App, other_app: App, enrol: Enrol, stored: dict[str, Template]) -> Group:
    """Return Bob's group, whose data key was encrypted with a lost key."""
    enrol(other_app, "p", template(1))
    as_before(Face.objects.get(group__app=other_app), template(1))
    group = Group.objects.get(app=other_app)
    group.key_encrypted = Fernet(Fernet.generate_key()).encrypt(bytes(32)).decode()
    group.save()
    return group


def test_migrate_names_the_groups_whose_key_is_missing_and_the_way_out(lost: Group) -> None:
    name = f"App {lost.app.app_id} group staff"
    with pytest.raises(CommandError, match=f"keys: {name}. Add the former key.*erase_gallery --app APP_ID"):
        conversion.convert_at_migrate(None, None)
    assert Face.objects.filter(vector=None).count() == 1  # the others are converted
    call_command("erase_gallery", app=lost.app.app_id, yes=True, stdout=StringIO())
    conversion.convert_at_migrate(None, None)


def test_a_group_without_its_key_does_not_hold_up_the_others(
    lost: Group, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.GALLERY_EXACT_FACES = 0
    tasks.index_large_groups()
    assert f"the key of App {lost.app.app_id} group staff" in caplog.text
    assert not Face.objects.filter(vector=None).exclude(group=lost).exists()
    assert Group.objects.exclude(pk=lost.pk).get().indexed_at is not None
