"""Search, by scan and by index, and its model versions."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from accounts.models import App
from gallery import groups, search
from gallery.errors import NoSuchFace, OtherModel
from gallery.groups import Wanted
from gallery.models import Face, Group
from gallery.retention import erasure
from gallery.trail import Actor
from gallery.vectors import indexing
from inference.calibration import scoring
from inference.results import Template
from tests.gallery.conftest import Enrol, breaks, template

pytestmark = pytest.mark.django_db


def test_two_model_versions_are_never_mixed(
    app: App, enrol: Enrol, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol(app, "p", template(1))
    monkeypatch.setattr("inference.calibration.scoring.template_version", lambda: "another")
    with pytest.raises(OtherModel):
        search.searched(app, ["staff"])
    with pytest.raises(OtherModel):
        search.look_up(app, [search.Reference("staff", "p", None, 3)], now)
    with pytest.raises(OtherModel):
        enrol(app, "q", template(2))
    erasure.delete_person(app, "staff", "p", now, Actor())
    enrol(app, "q", template(2))  # an empty group takes the new version
    assert Group.objects.get().model_version == Face.objects.get().model_version == "another"
    assert not breaks(now)


def test_a_search_names_each_person_once_by_the_best_face(app: App, enrol: Enrol, now: datetime) -> None:
    groups.add(app, [Wanted("guests", "访客")], now, Actor())
    for seed in range(10, 16):
        enrol(app, "p", template(seed, like=1, noise=0.2 + seed / 50))
    enrol(app, "q", template(2))
    enrol(app, "p", template(16, like=1, noise=0.3), group_id="guests")
    both = search.searched(app, ["staff", "guests"])
    probe = template(17, like=1, noise=1.2)
    found = search.best(both, probe, top=5, min_confidence=40, at=now)
    assert {(match.group_id, match.person_id) for match in found} == {("staff", "p"), ("guests", "p")}
    assert [m.confidence for m in found] == sorted((m.confidence for m in found), reverse=True)
    assert len(search.best(both, probe, top=1, min_confidence=0, at=now)) == 1
    assert search.best(both, probe, top=5, min_confidence=found[0].confidence, at=now) == found[:1]
    assert found[0].confidence < 100


def test_references_are_looked_up_with_a_fixed_number_of_queries(
    app: App, enrol: Enrol, now: datetime, django_assert_num_queries: Callable[[int], Any]
) -> None:
    for seed in range(6):
        enrol(app, f"p{seed % 3}", template(seed, like=seed % 3))
    references = [search.Reference("staff", f"p{number % 3}", None, number) for number in range(100)]
    with django_assert_num_queries(3):
        known = search.look_up(app, references, now)
    assert [len(one.templates) for one in known] == [2] * 100
    with pytest.raises(NoSuchFace) as missing:
        search.look_up(app, [*references[:5], search.Reference("staff", "nobody", None, 5)], now)
    assert missing.value.index == 5


def test_the_best_match_of_many_faces_is_that_of_all_pairs() -> None:
    firsts = [template(seed, like=1, noise=1.0) for seed in range(2, 22)]
    for seconds in ([template(seed, like=1, noise=1.2) for seed in range(40, 60)], [firsts[7], template(99)]):
        likely = search.likely_best(firsts, seconds)
        assert len(likely) <= 4

        def best(pairs: list[tuple[Template, Template]]) -> float:
            return max(scoring.compare(first, second).confidence for first, second in pairs)

        assert best(likely) == best([(first, second) for first in firsts for second in seconds])
    assert len(search.likely_best(firsts[:1], [Template((), (), 0.0, firsts[0].quality)])) == 1


def test_the_false_match_rate_grows_with_the_gallery() -> None:
    one, many = search.false_match_rate(70.0, 1), search.false_match_rate(70.0, 10_000)
    assert one == pytest.approx(1e-4, rel=0.01)
    assert many == pytest.approx(1 - (1 - 1e-4) ** 10_000, rel=0.01)


def test_an_index_finds_what_the_scan_finds(
    app: App, enrol: Enrol, now: datetime, settings: Settings
) -> None:
    for seed in range(60):
        enrol(app, f"p{seed}", template(seed))
    group = Group.objects.get()
    exact = search.nearest(group, template(99, like=7), top=3, at=now)
    settings.GALLERY_EXACT_FACES = 50
    assert indexing.update(now) == 1
    enrol(app, "late", template(100))
    group.refresh_from_db()
    assert group.indexed_at == now
    assert not Face.objects.filter(indexed=False).exists()
    assert search.nearest(group, template(99, like=7), top=3, at=now)[0] == exact[0]
    assert search.nearest(group, template(101, like=100), top=1, at=now)[0].person_id == "late"
    settings.GALLERY_EXACT_FACES = 100
    assert indexing.update(now) == 1
    group.refresh_from_db()
    assert group.indexed_at is None
    assert search.nearest(group, template(99, like=7), top=3, at=now) == exact


def test_a_search_finds_a_group_while_it_leaves_the_index(
    app: App, enrol: Enrol, now: datetime, settings: Settings
) -> None:
    enrol(app, "p", template(1))
    settings.GALLERY_EXACT_FACES = 0
    indexing.update(now)
    settings.GALLERY_EXACT_FACES = 100

    def leave(execute, sql, params, many, context):
        if "face.vector" in sql and Group.objects.get().indexed_at is not None:
            assert indexing.update(now) == 1
        return execute(sql, params, many, context)

    with connection.execute_wrapper(leave):
        found = search.nearest(Group.objects.get(), template(1), top=1, at=now)
    assert [match.person_id for match in found] == ["p"]


def test_an_indexed_search_reads_the_index(app: App, enrol: Enrol, now: datetime) -> None:
    enrol(app, "p", template(1))
    Group.objects.update(indexed_at=now)
    Face.objects.update(indexed=True)
    plans = []

    def explain(execute, sql, params, many, context):
        if "face.vector" in sql:
            with connection.connection.cursor() as cursor:
                cursor.execute("EXPLAIN " + sql, params)
                plans.extend(line for (line,) in cursor.fetchall())
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        search.nearest(Group.objects.get(), template(1), top=1, at=now)
    assert any("gallery_face_vector_hnsw" in line for line in plans), plans
