"""A stored template scores exactly as face_compare does, and is useless without its group's key."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from pytest_django import Settings

from accounts.models import App
from gallery import groups, search
from gallery.groups import Wanted
from gallery.models import Face, Group
from gallery.trail import Actor
from gallery.vectors import keys, templates
from inference.calibration import scoring
from tests.gallery.conftest import Enrol, template

pytestmark = pytest.mark.django_db


def test_search_and_compare_agree_to_three_decimals(app: App, enrol: Enrol, now: datetime) -> None:
    stored = {f"p{seed}": template(seed) for seed in range(8)}
    for person_id, face in stored.items():
        enrol(app, person_id, face)
    group = Group.objects.get(app=app)
    for noise in (0.1, 0.4, 0.7, 1.0, 1.3):
        probe = template(99, like=3, noise=noise)
        found = {match.person_id: match.confidence for match in search.nearest(group, probe, top=8, at=now)}
        expected = {who: scoring.compare(face, probe).confidence for who, face in stored.items()}
        assert found == pytest.approx(expected, abs=0.0005)
        assert max(found, key=lambda who: found[who]) == "p3"
    assert search.nearest(group, stored["p5"], top=1, at=now)[0].confidence == 100.0


def test_a_restored_template_is_the_one_that_was_stored(app: App, enrol: Enrol, now: datetime) -> None:
    face = template(1)
    enrol(app, "p", face)
    known = search.look_up(app, [search.Reference("staff", "p", None, 0)], now)
    (again,) = known[0].templates
    assert np.allclose(again.primary, face.primary, atol=1e-6)
    assert np.allclose(again.secondary, face.secondary, atol=1e-6)
    assert again.constant == pytest.approx(face.constant, abs=1e-5)
    assert scoring.compare(face, again).confidence == 100.0


def test_two_galleries_of_one_person_do_not_match(app: App, other_app: App, enrol: Enrol) -> None:
    """The stored vectors of one template: alike in their own gallery, like strangers' across galleries."""
    face = template(1)
    enrol(app, "p", face)
    enrol(other_app, "p", face)
    own, foreign = (
        np.array(Face.objects.get(person__person_id="p", group__app=one).vector) for one in (app, other_app)
    )
    raw = np.array(scoring.gallery_vector(face))
    reach = 0.4 * (own @ own)  # six standard deviations of the product with a random direction
    assert abs(own @ foreign) < reach
    assert abs(own @ raw) < reach  # a template from elsewhere matches nothing in a dump
    assert own @ own == pytest.approx(raw @ raw, rel=1e-3)


def test_the_length_of_a_stored_vector_says_nothing_about_the_face(
    app: App, other_app: App, enrol: Enrol
) -> None:
    """Otherwise the length would link a picture in two galleries, although their rotations differ."""
    for seed, constant in enumerate((-7.5, -1.0, 0.0, 2.3, 7.9)):
        enrol(app, f"p{seed}", replace(template(seed), constant=constant))
    enrol(other_app, "p", template(1))
    for half, tolerance in (("vector", 1e-3), (None, 1e-6)):
        lengths = [
            np.linalg.norm(np.array(face.vector) + (0 if half else np.array(face.vector_remainder)))
            for face in Face.objects.all()
        ]
        assert lengths == pytest.approx([lengths[0]] * 6, rel=tolerance)


def test_a_rotation_is_orthogonal_and_each_group_has_its_own(app: App, now: datetime) -> None:
    groups.add(app, [Wanted("guests", "访客")], now, Actor())
    staff, guests = (keys.rotation(Group.objects.get(app=app, group_id=name)) for name in ("staff", "guests"))
    assert np.allclose(staff @ staff.T, np.eye(len(staff)), atol=1e-12)
    assert not np.allclose(staff, guests, atol=0.1)


def test_data_keys_move_to_the_newest_encryption_key(
    app: App, enrol: Enrol, now: datetime, settings: Settings
) -> None:
    face = template(1)
    enrol(app, "p", face)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.ENCRYPTION_KEYS]
    call_command("reencrypt_secrets")
    del settings.ENCRYPTION_KEYS[1:]
    found = search.nearest(Group.objects.get(app=app), face, top=1, at=now)
    assert [match.confidence for match in found] == [100.0]


def test_neither_the_repr_nor_the_stored_vector_reveals_the_template(app: App, enrol: Enrol) -> None:
    face = template(1)
    enrol(app, "p", face)
    number = str(face.primary[0])
    assert number not in repr(face) + repr(Face.objects.get()) + str(Face.objects.get())
    assert templates.stored(face, Group.objects.get(app=app)).vector != list(scoring.gallery_vector(face))
