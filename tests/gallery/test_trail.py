"""The audit trail, and the export of a person."""

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import App
from gallery import people, trail
from gallery.errors import NoSuchFace
from gallery.models import Person, TrailEntry
from gallery.retention import erasure
from gallery.trail import Actor
from tests.gallery.conftest import Enrol, template

pytestmark = pytest.mark.django_db


def test_the_trail_contains_tags_instead_of_person_ids(app: App, enrol: Enrol, now: datetime) -> None:
    enrol(app, "zhang.san", template(1))
    tag = Person.objects.get().tag
    entries = list(TrailEntry.objects.filter(app=app, tags__contains=[tag]))
    assert [entry.action for entry in entries] == ["enrol"]
    assert trail.names_of(app, entries) == {tag: "zhang.san"}
    erasure.delete_person(app, "staff", "zhang.san", now, Actor())
    assert trail.names_of(app, entries) == {}
    assert trail.tags_of(app, "zhang.san") == [tag]  # the entries can still be found by the id
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(gallery_trailentry::text, '') FROM gallery_trailentry")
        assert "zhang" not in cursor.fetchone()[0]


def test_the_trail_is_append_only(app: App) -> None:
    for write in (TrailEntry.objects.all().delete, lambda: TrailEntry.objects.update(faces=0)):
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            write()


def test_an_export_has_the_newest_of_a_long_trail(
    app: App, enrol: Enrol, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "MAX_TRAIL", 2)
    enrol(app, "p", template(1))
    told = people.export(app, "staff", "p", now, Actor())
    assert ([entry["action"] for entry in told["trail"]], told["is_trail_whole"]) == (
        ["enrol", "export"],
        True,
    )
    told = people.export(app, "staff", "p", now, Actor())
    assert ([entry["action"] for entry in told["trail"]], told["is_trail_whole"]) == (["export"] * 2, False)


def test_the_trail_of_a_person_is_found_by_an_index(app: App, enrol: Enrol, now: datetime) -> None:
    enrol(app, "p", template(1))
    entries = TrailEntry.objects.filter(app=app, tags__contains=trail.tags_of(app, "p"))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("DROP INDEX gallery_trail_of_app")
        assert "gallery_trail_of_person" in entries.order_by().explain()


def test_an_export_contains_everything_but_the_template(app: App, enrol: Enrol, now: datetime) -> None:
    enrol(app, "p", template(1), note="三楼", expires_at=now + timedelta(days=1))
    told = people.export(app, "staff", "p", now, Actor())
    assert told["note"] == "三楼"
    assert told["faces"][0]["consent_reference"] == "HR-12"
    assert told["faces"][0]["deleted_by_itself_at"] is not None
    assert [entry["action"] for entry in told["trail"]] == ["enrol", "export"]
    assert "embedding" not in str(told)
    with pytest.raises(NoSuchFace):
        people.export(app, "staff", "q", now, Actor())
