"""Expiry and erasure: of faces by consent and retention, and of closed accounts."""

from datetime import datetime, timedelta
from io import StringIO
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from accounts.models import App, User
from billing.models import Notice
from billing.notices import texts
from gallery import groups, search
from gallery.errors import NoSuchFace
from gallery.groups import Wanted
from gallery.models import Group, Person
from gallery.retention import expiry
from gallery.trail import Actor
from tests.gallery.conftest import Enrol, actions, template

pytestmark = pytest.mark.django_db


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
    assert "staff" in texts.text_of(notice).title
    assert "1" in texts.text_of(notice).title
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
