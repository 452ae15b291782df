"""The previous version serves faces that this version enrolled, until its vectors are deleted at night.

Its statements of a search are those of revision f815ff1, in tests/previous_version/gallery_search.json.
"""

import json
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from django.db import connection
from pytest_django import Settings

from accounts.models import App
from gallery import groups, search, tasks
from gallery.groups import Wanted
from gallery.models import Face, Group
from gallery.trail import Actor
from gallery.vectors import indexing, keys
from inference.calibration import scoring
from inference.results import Template
from tests.conftest import REPOSITORY
from tests.gallery.conftest import Enrol, template

pytestmark = pytest.mark.django_db
RECORDED = (REPOSITORY / "tests/previous_version/gallery_search.json").read_text(encoding="utf-8")
SQL = {name: "\n".join(lines) for name, lines in json.loads(RECORDED).items()}


def found_by_previous_version(
    group: Group, probe: Template, at: datetime, *, candidates: str = "exact"
) -> dict[str, Any]:
    """Return the inner product of each person's best face, as the previous version computes it."""
    rotated = keys.former_rotation(group) @ np.array([*scoring.fused_vector(probe), -0.5])
    values: dict[str, Any] = {
        "group": group.pk,
        "version": scoring.template_version(),
        "probe": "[" + ",".join(map(repr, rotated.tolist())) + "]",
        "at": at,
        "since": None,
        "limit": 2000,
        "top": 100,
    }
    with connection.cursor() as cursor:
        cursor.execute(SQL[candidates], values)
        values["candidates"] = [face_id for (face_id,) in cursor.fetchall()]
        cursor.execute(SQL["best"], values)
        return {person_id: product for person_id, _tag, _face, product in cursor.fetchall()}


@pytest.mark.parametrize("is_large", [False, True])
def test_the_previous_version_scores_new_faces_as_face_compare_does(
    app: App, enrol: Enrol, now: datetime, settings: Settings, is_large: bool
) -> None:
    people = {f"p{seed}": template(seed) for seed in range(8)}
    if is_large:
        settings.GALLERY_EXACT_FACES = 3
    for person_id, of in people.items():
        enrol(app, person_id, of)
        indexing.update(now)
    group = Group.objects.get()
    assert (group.indexed_at is not None) == is_large
    probe = template(99, like=3, noise=0.8)
    products = found_by_previous_version(group, probe, now, candidates="indexed" if is_large else "exact")
    found = {who: scoring.confidence_of(product, probe) for who, product in products.items()}
    assert found == pytest.approx(
        {who: scoring.compare(of, probe).confidence for who, of in people.items()}, abs=0.0005
    )
    assert found == pytest.approx(
        {match.person_id: match.confidence for match in search.nearest(group, probe, top=8, at=now)},
        abs=0.0005,
    )
    same = found_by_previous_version(group, people["p5"], now)
    assert scoring.confidence_of(same["p5"], people["p5"]) == 100.0


def test_after_the_first_night_no_former_vector_is_stored(app: App, enrol: Enrol, now: datetime) -> None:
    groups.add(app, [Wanted("guests", "访客")], now, Actor())
    enrol(app, "p", template(1))
    enrol(app, "q", template(2), group_id="guests")
    assert Face.objects.filter(embedding__isnull=False, remainder__isnull=False).count() == 2
    tasks.delete_expired()
    enrol(app, "r", template(3))
    assert not Face.objects.exclude(embedding=None, remainder=None).exists()
    products = found_by_previous_version(Group.objects.get(group_id="staff"), template(1), now)
    assert products == {"p": None, "r": None}  # which it answers with 5001
