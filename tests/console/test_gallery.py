"""The pages of the face gallery: groups, persons, enrolment by pictures, deletion, the audit trail."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from pytest_django import Settings

from accounts.models import App, User
from billing.models import Api
from console.views.gallery import person_id_of
from gallery import enrolment, groups, people
from gallery.enrolment import Entry
from gallery.groups import Wanted
from gallery.models import Face, Group, Person, TrailEntry
from gallery.trail import Actor
from operations.actions import action_forms
from tests import purchases
from tests.gallery.conftest import app_of, store, template


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def group(app: App, now: datetime) -> Group:
    """Return a group with one enrolled person."""
    groups.add(app, [Wanted("staff", "员工")], now, Actor())
    store(app, "zhang.san", template(1), at=now, note="三楼")
    return Group.objects.get(app=app)


def address(app: App, rest: str = "gallery/") -> str:
    return f"/console/apps/{app.app_id}/{rest}"


def test_a_group_is_created(as_alice: Client, app: App) -> None:
    assert "还没有人脸组" in as_alice.get(address(app)).content.decode()
    for wrong in ("", "a b", "组", "a" * 65):
        reply = as_alice.post(address(app), {"group_id": wrong, "name": "员工"})
        assert reply.status_code == 422
    made = as_alice.post(address(app), {"group_id": "staff", "name": "员工", "retention_days": "365"})
    group = Group.objects.get(app=app)
    assert made["Location"] == address(app, f"gallery/{group.pk}/")
    assert group.retention_days == 365
    again = as_alice.post(address(app), {"group_id": "staff", "name": "别的"})
    assert "已有这个 ID 的组" in again.content.decode()
    assert TrailEntry.objects.get(app=app).by.username == "alice"


def test_persons_are_found_by_their_ids(as_alice: Client, app: App, group: Group) -> None:
    page = address(app, f"gallery/{group.pk}/")
    assert "zhang.san" in as_alice.get(page).content.decode()
    assert "zhang.san" in as_alice.get(page, {"q": "zhang"}).content.decode()
    assert "没有以此开头的人员 ID" in as_alice.get(page, {"q": "li"}).content.decode()
    person = as_alice.get(address(app, f"persons/{Person.objects.get().pk}/")).content.decode()
    assert "HR-12" in person
    assert "三楼" in person
    assert Face.objects.get().pk.hex in person


def test_deletion_is_confirmed_and_carried_out(
    as_alice: Client, app: App, group: Group, now: datetime
) -> None:
    store(app, "zhang.san", template(2, like=1), at=now)
    person = Person.objects.get()
    page = address(app, f"persons/{person.pk}/")
    assert "无法恢复" in as_alice.get(page).content.decode()
    first, second = Face.objects.order_by("created_at")
    assert as_alice.post(page, {"act": "delete", "face": "0" * 32}).status_code == 404
    assert as_alice.post(page, {"act": "delete", "face": "not an id"}).status_code == 404
    assert Face.objects.count() == 2
    asked = as_alice.post(page, {"act": "delete", "face": first.pk.hex}).content.decode()
    assert "确定删除这张人脸吗" in asked
    assert f'name="face" value="{first.pk.hex}"' in asked
    assert Face.objects.filter(pk=first.pk).exists()
    sure = {"act": "delete", "confirmed": "1"}
    assert as_alice.post(page, {**sure, "face": first.pk.hex})["Location"] == page
    assert list(Face.objects.all()) == [second]
    assert "无法恢复。确定删除吗" in as_alice.post(page, {"act": "delete"}).content.decode()
    gone = as_alice.post(page, sure)
    assert gone["Location"] == address(app, f"gallery/{group.pk}/")
    assert not Person.objects.exists()
    assert as_alice.post(address(app, f"gallery/{group.pk}/"), {"act": "delete"}).status_code == 200
    assert Group.objects.filter(pk=group.pk).exists()
    sure = {"act": "delete", "confirmed": "1"}
    assert as_alice.post(address(app, f"gallery/{group.pk}/"), sure).status_code == 302
    assert not Group.objects.exists()
    trail = as_alice.get(address(app, "trail/")).content.decode()
    assert "zhang.san" not in trail
    assert "删除组" in trail


def test_an_export_has_only_the_persons_data(as_alice: Client, app: App, group: Group) -> None:
    reply = as_alice.post(address(app, f"persons/{Person.objects.get().pk}/export/"))
    assert reply.json()["person_id"] == "zhang.san"
    assert "attachment" in reply["Content-Disposition"]
    assert TrailEntry.objects.latest("pk").action == "export"


def test_the_trail_is_exported(as_alice: Client, app: App, group: Group) -> None:
    lines = as_alice.get(address(app, "trail.csv")).content.decode().splitlines()
    assert len(lines) == 3
    assert "zhang.san" in lines[1]
    only = as_alice.get(address(app, "trail.csv"), {"q": "nobody"}).content.decode().splitlines()
    assert len(only) == 1


def test_the_export_of_the_trail_reads_few_entries_at_once(
    as_alice: Client, app: App, group: Group, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(7):
        groups.add(app, [Wanted("staff", f"name {number}")], now, Actor())
    whole = as_alice.get(address(app, "trail.csv")).content
    assert len(whole.splitlines()) == 1 + 9
    monkeypatch.setattr("console.views.gallery.NAMED_AT_ONCE", 3)
    assert as_alice.get(address(app, "trail.csv")).content == whole
    monkeypatch.setattr("console.views.gallery.TRAIL_ROWS", 6)
    assert as_alice.get(address(app, "trail.csv")).content.splitlines() == whole.splitlines()[:7]


def test_the_trail_is_paged(as_alice: Client, app: App, group: Group, now: datetime) -> None:
    for number in range(60):
        groups.add(app, [Wanted("staff", f"name {number}")], now, Actor())
    page = as_alice.get(address(app, "trail/")).content.decode()
    (older,) = re.findall(r"\?after=(\d+)", page)
    assert page.count("<tr>") == 51
    last = as_alice.get(address(app, "trail/"), {"after": older}).content.decode()
    assert last.count("<tr>") == 13
    assert "更早的记录" not in last
    assert as_alice.get(address(app, "trail/"), {"after": "9" * 30}).status_code == 200


def test_the_trail_names_the_customer_but_no_operator(
    as_alice: Client, app: App, alice: User, group: Group
) -> None:
    """An enrolment on the console is a call of the customer; an operator is not named."""
    call_id = uuid4()
    faces = enrolment.with_ids([Entry("staff", "li.si", "HR-12")], [template(3)], call_id)
    enrolment.store(app, faces, timezone.now(), Actor(call_id, alice))
    operator = User.objects.create_user("root-of-all", "root@example.org")
    groups.add(app, [Wanted("guests", "访客")], timezone.now(), Actor(by=operator))
    page = as_alice.get(address(app, "trail/")).content.decode()
    assert re.search(f'request_id={call_id}">\\s*控制台', page)
    lines = as_alice.get(address(app, "trail.csv")).content.decode().splitlines()
    assert [line.rpartition(",")[2] for line in lines[1:3]] == ["运营人员", "alice"]
    assert "root-of-all" not in page + "".join(lines)


def test_another_customer_sees_nothing(as_alice: Client, app: App, group: Group, now: datetime) -> None:
    foreign = app_of("mallory", now)
    groups.add(foreign, [Wanted("staff", "员工")], now, Actor())
    store(foreign, "victim", template(9), at=now)
    theirs = Group.objects.get(app=foreign)
    person = Person.objects.get(person_id="victim")
    for page in (address(foreign), address(foreign, "trail/"), address(foreign, "trail.csv")):
        assert as_alice.get(page).status_code == 404
    for page in (f"gallery/{theirs.pk}/", f"persons/{person.pk}/"):
        assert as_alice.get(address(app, page)).status_code == 404
        assert as_alice.post(address(app, page), {"act": "delete"}).status_code == 404
    assert as_alice.post(address(app, f"persons/{person.pk}/export/")).status_code == 404
    assert as_alice.post(address(app, f"gallery/{theirs.pk}/enrol/"), {"reference": "x"}).status_code == 404
    assert Face.objects.filter(group=theirs).count() == 1


def test_a_group_of_another_model_version_is_listed(as_alice: Client, app: App, group: Group) -> None:
    Group.objects.update(model_version="of-last-year")
    assert "4307" in as_alice.get(address(app)).content.decode()
    page = as_alice.get(address(app, f"gallery/{group.pk}/")).content.decode()
    assert "4307" in page
    assert 'id="enrol-form"' not in page


def test_a_disabled_gallery_can_only_be_listed_and_deleted(
    as_alice: Client, app: App, group: Group, settings: Settings
) -> None:
    settings.GALLERY = False
    for page in (address(app), address(app, f"gallery/{group.pk}/")):
        shown = as_alice.get(page).content.decode()
        assert "本系统已停用人脸库" in shown
        assert 'id="enrol-form"' not in shown
    as_alice.post(address(app), {"group_id": "another", "name": "x"})
    assert Group.objects.count() == 1
    assert "face_search" not in as_alice.get("/console/orders/new/").content.decode()
    assert as_alice.get("/").content.decode().count("api=face_search") == 0
    assert as_alice.post(address(app, f"gallery/{group.pk}/"), {"act": "delete"}).status_code == 200
    assert Group.objects.filter(pk=group.pk).exists()
    sure = {"act": "delete", "confirmed": "1"}
    assert as_alice.post(address(app, f"gallery/{group.pk}/"), sure).status_code == 302


def test_a_full_gallery_is_reported(as_alice: Client, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MAX_GROUPS", 0)
    refused = as_alice.post(address(app), {"group_id": "staff", "name": "员工"})
    assert refused.status_code == 422
    assert "最多 0 个组" in refused.content.decode()


def test_rows_deleted_during_a_request_are_404(
    as_alice: Client, app: App, group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The view has found the row; another request deletes it before the rule reads it."""
    person = Person.objects.get()
    page, export = people.page, people.export

    def deleted(rule: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            groups.delete(app, "staff", timezone.now(), Actor())
            return rule(*arguments, **options)

        return run

    monkeypatch.setattr(people, "export", deleted(export))
    assert as_alice.post(address(app, f"persons/{person.pk}/export/")).status_code == 404
    groups.add(app, [Wanted("staff", "员工")], timezone.now(), Actor())
    monkeypatch.setattr(people, "page", deleted(page))
    assert as_alice.get(address(app, f"gallery/{Group.objects.get().pk}/")).status_code == 404


def test_a_group_deleted_directly_after_its_creation_is_404(
    as_alice: Client, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "add", lambda *_arguments: [True])
    assert as_alice.post(address(app), {"group_id": "staff", "name": "员工"}).status_code == 404


def test_a_switched_off_gallery_is_not_mentioned(
    as_alice: Client, app: App, alice: User, now: datetime, settings: Settings
) -> None:
    """Not in the debugger, the documentation, the OpenAPI description or operators' forms."""
    purchases.pay(purchases.place(alice, api=Api.FACE_SEARCH, app=app, at=now), now)
    groups.add(app, [Wanted("staff", "员工")], now, Actor())

    def pages() -> list[str]:
        return [
            as_alice.get("/console/debug/", {"app": app.app_id, "api": "face_search"}).content.decode(),
            as_alice.get("/docs/").content.decode(),
            as_alice.get("/docs/errors/").content.decode(),
            json.dumps(SchemaGenerator().get_schema(public=True)),
        ]

    words = ("face_search", "face_person", "4304", "人脸库")
    assert all(any(word in page for word in words) for page in pages())
    assert as_alice.get("/docs/face_search/").status_code == 200
    settings.GALLERY = False
    for page in pages():
        shown = re.sub(r"<(nav|aside|header|footer).*?</\1>", "", page, flags=re.DOTALL)
        shown = re.sub(
            r'data-shows="[^"]*"', "", shown
        )  # an invisible attribute: which fields belong to which API
        assert [shown[max(0, shown.index(word) - 80) :][:160] for word in words if word in shown] == []
    assert as_alice.get("/docs/face_search/").status_code == 404
    assert "人脸识别提供三个 API" in as_alice.get("/docs/").content.decode()
    assert "人脸入库需要什么" not in as_alice.get("/docs/faq/").content.decode()
    assert "face_limit" not in action_forms.Limits(subject=app).fields
    apis: Any = action_forms.NewVoucher(subject=alice).fields["apis"]
    assert Api.FACE_SEARCH not in dict(apis.choices)


def test_archiving_states_that_stored_faces_remain(as_alice: Client, app: App) -> None:
    page = as_alice.get(f"/console/apps/{app.app_id}/").content.decode()
    assert "人脸库中的人脸继续有效" in page
    assert "已入库的人脸不会删除" in page


@pytest.mark.parametrize(
    ("name", "person_id"),
    [
        ("zhangsan_1.jpg", "zhangsan"),
        ("zhangsan (2).jpg", "zhangsan"),
        ("1001.png", "1001"),
        ("li si-03.jpeg", "li-si-03"),
        ("1002.jpg", "1002"),
        ("IMG_1234.jpg", "IMG_1234"),
        ("emp101.jpg", "emp101"),
        ("zhang三.jpg", ""),
        ("张三.jpg", ""),
        ("a" * 80 + ".jpg", "a" * 64),
    ],
)
def test_the_name_of_a_file_suggests_the_person(name: str, person_id: str) -> None:
    assert person_id_of(name) == person_id


def test_an_enrolment_without_pictures_or_with_too_many_bytes_is_refused(
    as_alice: Client, app: App, group: Group
) -> None:
    page = address(app, f"gallery/{group.pk}/enrol/")
    assert "请选择图片" in as_alice.post(page, {"reference": "HR"}).content.decode()
    assert as_alice.get(page).status_code == 405


def test_an_app_without_a_package_has_a_link_to_the_order(as_alice: Client, app: App, alice: User) -> None:
    assert f"app={app.app_id}&amp;api={Api.FACE_SEARCH}" in as_alice.get(address(app)).content.decode()


def test_the_page_of_a_group_shows_only_the_units_of_searches(
    as_alice: Client, app: App, group: Group
) -> None:
    page = as_alice.get(address(app, f"gallery/{group.pk}/")).content.decode()
    units = page[page.index('id="units-left"') :]
    units = units[: units.index("</dl>")]
    assert "人脸搜索" in units
    assert "人脸检测定位" not in units
