"""The rules of groups, enrolment, search and erasure, on the real database."""

from collections.abc import Callable
from datetime import datetime, timedelta
from io import StringIO
from types import SimpleNamespace
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import IntegrityError, connection, connections, transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django import Settings

from accounts.models import App, User
from billing import notices
from billing.models import Notice
from gallery import enrolment, groups, people, reconcile, search, trail
from gallery.enrolment import Entry
from gallery.errors import (
    ConsentPast,
    GalleryFull,
    LooksLike,
    NoSuchFace,
    NoSuchGroup,
    OtherModel,
    TooManyFaces,
)
from gallery.groups import Wanted
from gallery.models import Face, Group, NoteChange, Person, TrailEntry
from gallery.retention import erasure, expiry
from gallery.trail import Actor
from gallery.vectors import extension, indexing
from inference.calibration import scoring
from inference.results import Template
from tests.gallery.conftest import Enrol, template

pytestmark = pytest.mark.django_db


def actions(app: App) -> list[str]:
    return list(TrailEntry.objects.filter(app=app).order_by("pk").values_list("action", flat=True))


def breaks(at: datetime) -> list[str]:
    checks = (
        reconcile.groups_count_their_faces,
        reconcile.enrolled_faces_were_charged,
        reconcile.faces_match_their_persons,
    )
    return [found.row for check in checks for found in check(at)]


# --- groups ----------------------------------------------------------------------


def test_a_group_is_created_once_and_then_updated(app: App, now: datetime) -> None:
    wanted = [Wanted("guests", "访客"), Wanted("staff", "全体员工", 365)]
    assert groups.add(app, wanted, now, Actor()) == [True, False]
    staff = Group.objects.get(app=app, group_id="staff")
    assert (staff.name, staff.retention_days) == ("全体员工", 365)
    groups.add(app, wanted, now, Actor())  # no change, no entry
    assert actions(app) == ["group_add", "group_add", "group_change"]


def test_groups_have_a_limit(app: App, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MAX_GROUPS", 2)
    with pytest.raises(GalleryFull) as refused:
        groups.add(app, [Wanted("b", "b"), Wanted("c", "c")], now, Actor())
    assert (refused.value.index, refused.value.values["limit"]) == (1, 2)
    assert Group.objects.filter(app=app).count() == 1


def test_deleting_a_group_keeps_only_its_trail(app: App, enrol: Enrol, now: datetime) -> None:
    enrol(app, "p", template(1))
    assert groups.delete(app, "staff", now, Actor()) == 1
    assert groups.delete(app, "staff", now, Actor()) == 0
    assert not Group.objects.exists()
    assert not Person.objects.exists()
    assert not Face.objects.exists()
    assert actions(app) == ["group_add", "enrol", "group_delete"]


def test_another_app_has_no_access(app: App, other_app: App, enrol: Enrol, now: datetime) -> None:
    enrol(app, "p", template(1))
    assert erasure.delete_person(other_app, "staff", "p", now, Actor()) == 0
    assert groups.delete(other_app, "staff", now, Actor()) == 0
    with pytest.raises(NoSuchGroup):
        search.searched(other_app, ["staff"])
    with pytest.raises(NoSuchGroup):
        search.look_up(other_app, [search.Reference("staff", "p", None, 0)], now)
    assert Face.objects.count() == 1


# --- enrolment ---------------------------------------------------------------------


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


# --- model versions ------------------------------------------------------------------


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


# --- search --------------------------------------------------------------------------


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
        if "face.embedding" in sql and Group.objects.get().indexed_at is not None:
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
        if "face.embedding" in sql:
            with connection.connection.cursor() as cursor:
                cursor.execute("EXPLAIN " + sql, params)
                plans.extend(line for (line,) in cursor.fetchall())
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        search.nearest(Group.objects.get(), template(1), top=1, at=now)
    assert any("gallery_face_hnsw" in line for line in plans), plans


# --- expiry ----------------------------------------------------------------------------


def test_expired_faces_are_not_found_and_are_deleted_at_night(app: App, enrol: Enrol, now: datetime) -> None:
    soon = now + timedelta(days=3)
    enrol(app, "p", template(1), expires_at=soon)
    enrol(app, "q", template(2))
    group = Group.objects.get()
    assert expiry.delete_expired(now) == 0
    assert {match.person_id for match in search.nearest(group, template(1), top=5, at=now)} == {"p", "q"}
    assert {match.person_id for match in search.nearest(group, template(1), top=5, at=soon)} == {"q"}
    with pytest.raises(NoSuchFace):
        search.look_up(app, [search.Reference("staff", "p", None, 0)], soon)
    assert expiry.notify(now) == 1
    assert expiry.notify(now) == 0
    notice = Notice.objects.get()
    assert "staff" in notices.text_of(notice).title
    assert "1" in notices.text_of(notice).title
    assert expiry.delete_expired(soon) == 1
    assert list(Person.objects.values_list("person_id", flat=True)) == ["q"]
    assert actions(app)[-1] == "expire"


def test_each_day_on_which_faces_expire_has_one_notice(app: App, enrol: Enrol, now: datetime) -> None:
    """Of consent and retention, whichever ends first counts."""
    noon = now.astimezone(ZoneInfo("Asia/Shanghai")).replace(hour=12)
    for number, days in enumerate((2, 2, 5, 9)):
        enrol(app, f"p{number}", template(number), expires_at=noon + timedelta(days=days))
    enrol(app, "p4", template(4), at=noon - timedelta(days=26))
    groups.add(app, [Wanted("staff", "员工", 30)], now, Actor())
    assert expiry.notify(now) == 3
    found = [(notice.ends_at, notice.detail) for notice in Notice.objects.order_by("ends_at")]
    assert found == [
        (noon + timedelta(days=2), "staff 2"),
        (noon + timedelta(days=4), "staff 1"),
        (noon + timedelta(days=5), "staff 1"),
    ]
    assert expiry.notify(now + timedelta(days=1)) == 0
    assert expiry.notify(now + timedelta(days=3)) == 1


def test_closed_accounts_are_counted_and_erased(
    app: App, other_app: App, enrol: Enrol, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol(app, "p", template(1))
    enrol(other_app, "q", template(2))
    assert groups.faces_of_closed_accounts() == 0
    User.objects.filter(username="alice").update(is_active=False)
    assert groups.faces_of_closed_accounts() == 1
    with pytest.raises(CommandError, match="does not exist"):
        call_command("erase_gallery", customer="nobody", yes=True)
    monkeypatch.setattr("builtins.input", lambda question: "no")
    with pytest.raises(CommandError, match="Nothing was deleted"):
        call_command("erase_gallery", app=app.app_id)
    told = StringIO()
    call_command("erase_gallery", customer="alice", yes=True, stdout=told)
    assert told.getvalue() == f"faces deleted from {app.app_id}: 1\n"
    assert list(Group.objects.values_list("app", flat=True)) == [other_app.pk]
    assert actions(app)[-1] == "group_delete"


def test_faces_expire_with_the_retention_of_their_group(app: App, enrol: Enrol, now: datetime) -> None:
    enrol(app, "p", template(1), at=now - timedelta(days=30))
    enrol(app, "p", template(2, like=1), at=now - timedelta(days=28))
    groups.add(app, [Wanted("staff", "员工", 30)], now, Actor())
    assert expiry.delete_expired(now) == 1
    assert expiry.delete_expired(now + timedelta(days=1)) == 0
    assert expiry.delete_expired(now + timedelta(days=2)) == 1
    assert not Person.objects.exists()


# --- the trail and the person's rights ---------------------------------------------------


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


@pytest.fixture
def many(app: App, now: datetime) -> App:
    """Create persons without faces, to be listed."""
    group = Group.objects.get(app=app)
    ids = ["a", "A", "a.b", "a-b", "_", "0", "9" * 64, *(f"p{n}" for n in range(30))]
    Person.objects.bulk_create(
        Person(group=group, person_id=one, tag=f"{n:032x}", created_at=now) for n, one in enumerate(ids)
    )
    return app


@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(limit=st.integers(1, 50), prefix=st.sampled_from(["", "p", "p1", "a", "zz"]))
def test_pages_show_every_person_once_in_order(many: App, limit: int, prefix: str) -> None:
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        rows, after = people.page(many, "staff", after, limit, prefix=prefix)
        assert len(rows) <= limit
        assert after is None or len(rows) == limit
        seen += [row.person.person_id for row in rows]
    expected = Person.objects.filter(person_id__startswith=prefix).order_by("person_id")
    assert seen == list(expected.values_list("person_id", flat=True))


@hypothesis_settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(limit=st.integers(1, 12))
def test_pages_show_every_group_once_in_order(app: App, now: datetime, limit: int) -> None:
    groups.add(app, [Wanted(f"g{n}", f"组{n}") for n in range(9)], now, Actor())
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        rows, after = groups.page(app, after, limit)
        seen += [row.group.group_id for row in rows]
    assert seen == sorted(seen)
    assert len(seen) == len(set(seen)) == 10


@pytest.mark.parametrize(
    ("statement", "row"),
    [
        ("UPDATE gallery_group SET faces = 7", "gallery group"),
        ("UPDATE gallery_face SET model_version = 'x'", "gallery group"),
        ("UPDATE gallery_face SET call_id = gen_random_uuid()", "gallery face"),
        ("DELETE FROM gallery_face", "gallery person"),
    ],
)
def test_reconcile_finds_what_was_tampered_with(
    app: App, enrol: Enrol, now: datetime, statement: str, row: str
) -> None:
    enrol(app, "p", template(1))
    assert not breaks(now)
    with connection.cursor() as cursor:
        cursor.execute(statement)
    assert any(found.startswith(row) for found in breaks(now))


def test_a_missing_pgvector_is_reported_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server has pgvector, so requiring a version that does not exist simulates a missing one."""
    monkeypatch.setattr(extension, "MINIMUM", (99, 0))
    editor = SimpleNamespace(connection=connection)
    with pytest.raises(CommandError, match=r"does not offer the extension pgvector \(0\.\d"):
        extension.CreateVectorExtension().database_forwards("gallery", editor, None, None)


@pytest.mark.django_db(transaction=True)
def test_an_owner_who_cannot_create_extensions_is_reported_clearly() -> None:
    """The extension pgvector is not trusted: a database owner who is not a superuser cannot create it."""
    name = f"without_vector_{uuid4().hex[:12]}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {name}")
        cursor.execute(f"CREATE DATABASE {name} OWNER {name} TEMPLATE template0")
    other = connection.copy("without_vector")
    other.settings_dict = connection.settings_dict | {"NAME": name}
    connections["without_vector"] = other
    try:
        with other.cursor() as cursor:
            cursor.execute(f"SET ROLE {name}")
        with (
            pytest.raises(CommandError, match=f"The role {name} may not create .* database {name}: run"),
            other.schema_editor() as editor,
        ):
            extension.CreateVectorExtension().database_forwards("gallery", editor, None, None)
        with other.cursor() as cursor:  # the remedy
            cursor.execute("RESET ROLE")
            cursor.execute("CREATE EXTENSION vector")
            cursor.execute(f"SET ROLE {name}")
        with other.schema_editor() as editor:
            extension.CreateVectorExtension().database_forwards("gallery", editor, None, None)
    finally:
        other.close()
        del connections["without_vector"]
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
            cursor.execute(f"DROP ROLE {name}")
