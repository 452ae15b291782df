"""Groups: created, changed, listed and deleted; those of another App."""

from datetime import datetime

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.models import App
from gallery import groups, search
from gallery.errors import GalleryFull, NoSuchGroup
from gallery.groups import Wanted
from gallery.models import Face, Group, Person
from gallery.retention import erasure
from gallery.trail import Actor
from tests.gallery.conftest import Enrol, actions, template

pytestmark = pytest.mark.django_db


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
