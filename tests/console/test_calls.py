"""The call log (调用记录): its contents and links, and that it lists only the customer's own calls."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from accounts.models import App, User
from console.views import calls as calls_view
from faceapi import calls, errors
from faceapi.errors import ApiError
from faceapi.models import Call
from tests.console.conftest import Visitor

Record = Callable[..., Call]


@pytest.fixture
def record(app: App) -> Record:
    """Write a call of Alice's App as the product does, with its roll-up."""

    def write(at: datetime, code: int = errors.OK, api: str = "face_detect") -> Call:
        one = calls.CallContext(
            calls.new_id(at), api, at, "203.0.113.9", key=app.keys.get(), is_authentic=True
        )
        if code == errors.OK:
            calls.succeed(one, at)
        else:
            calls.fail(one, ApiError(code, index=2), at)
        return Call.objects.get(pk=one.id)

    return write


def test_a_call_explains_its_code(as_alice: Client, record: Record, app: App) -> None:
    call = record(timezone.now(), errors.USED_UP)
    page = as_alice.get(reverse("call", args=[call.pk])).content.decode()
    for expected in (
        str(call.pk),
        "本计费周期调用量已用完",
        "再次购买，或等待下一个计费周期。",
        "203.0.113.9",
        f"/console/orders/new/?app={app.app_id}&amp;api=face_detect",
        "/docs/errors/#code-4202",
    ):
        assert expected in page


@pytest.mark.parametrize("row", [row for row in errors.TABLE.values() if not row.reserved])
def test_every_code_links_to_the_page_of_errors(row: errors.Code, app: App) -> None:
    call = Call(app=app, api="face_detect", code=row.number)
    assert calls_view.remedies(call)[-1][0] == f"/docs/errors/#code-{row.number}"


def test_other_customers_calls_are_not_listed(as_bob: Client, record: Record, app: App) -> None:
    call = record(timezone.now())
    assert as_bob.get(reverse("call", args=[call.pk])).status_code == 404
    for path in (
        f"/console/apps/{app.app_id}/calls/",
        f"/console/calls/?app={app.app_id}",
        f"/console/calls.csv?app={app.app_id}",
    ):
        assert as_bob.get(path).status_code == 404, path
    for path in ("/console/calls/", "/console/calls.csv"):
        assert str(call.pk) not in as_bob.get(path).content.decode(), path
    assert "没有找到这个请求" in as_bob.get(f"/console/calls/?request_id={call.pk}").content.decode()


def test_a_request_id_finds_its_call_outside_the_range_too(as_alice: Client, record: Record) -> None:
    call = record(timezone.now() - timedelta(days=40))
    reply = as_alice.get(f"/console/calls/?range=1h&request_id=%20{call.pk}%20")
    assert reply["Location"] == reverse("call", args=[call.pk])
    assert "没有找到这个请求" in as_alice.get("/console/calls/?request_id=nothing").content.decode()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("range=custom&since=2026-05-02T10:00&until=2026-05-02T10:00", "开始时间须早于结束时间"),
        ("range=custom&since=2026-05-02T10:00", "请填写开始时间和结束时间"),
        ("range=custom&since=2026-01-01T00:00&until=2026-12-31T00:00", "最长可查询 92 天"),
        ("range=custom&since=0001-01-01T00:00&until=9999-12-31T00:00", "2000 年至 2999 年之间"),
        ("range=custom&since=2026-05-02T10:00&until=tomorrow", "时间无效"),
    ],
)
def test_an_invalid_range_is_explained(as_alice: Client, app: App, query: str, said: str) -> None:
    assert said in as_alice.get(f"/console/calls/?{query}").content.decode()


@pytest.mark.parametrize("query", ["code=x", "slow=1", "api=x", "after=x", "range=x"])
def test_unknown_filters_are_ignored(as_alice: Client, record: Record, query: str) -> None:
    call = record(timezone.now())
    assert str(call.pk) in as_alice.get(f"/console/calls/?{query}").content.decode()


def test_the_filtered_calls_are_exported_as_csv(as_alice: Client, record: Record, app: App) -> None:
    at = timezone.now()
    record(at)
    failed = record(at, errors.UNDECODABLE)
    reply = as_alice.get(f"/console/calls.csv?range=1h&code=failed&app={app.app_id}")
    lines = reply.content.decode().lstrip("\ufeff").splitlines()
    assert lines[0].startswith("时间（UTC+8）,请求 ID,应用 ID,API 类型,返回码")
    (row,) = [line.split(",") for line in lines[1:]]
    assert row[1:5] == [str(failed.pk), app.app_id, "face_detect", "4003"]


LINES = "link => new Set([...link.getClientRects()].map((box) => Math.round(box.top))).size"


@pytest.mark.browser
@pytest.mark.parametrize("language", ["zh-hans", "en"])
@pytest.mark.parametrize("name", ["写字楼人脸考勤闸机终端设备一二三", "WWWWWWWWWWWWWWWW"])
def test_a_long_name_of_an_app_takes_one_line_or_two(
    visitor: Visitor, alice: User, app: App, record: Record, language: str, name: str
) -> None:
    App.objects.filter(pk=app.pk).update(name=name)
    record(timezone.now(), errors.USED_UP, api="face_analyse")
    visitor.log_in(alice)
    visitor.page.context.add_cookies([{"name": "django_language", "value": language, "url": visitor.url}])
    visitor.open("/console/calls/")
    for width, lines in ((1024, 2), (1081, 2), (1280, 2), (1440, 1)):
        visitor.page.set_viewport_size({"width": width, "height": 860})
        assert visitor.page.locator("#calls td.name a").evaluate(LINES) <= lines, width
        wrap = visitor.page.locator("#calls .table-wrap")
        assert wrap.evaluate("one => one.scrollWidth - one.clientWidth") <= 0, width


@pytest.mark.browser
def test_a_figure_of_the_report_links_to_its_calls(
    visitor: Visitor, alice: User, app: App, record: Record
) -> None:
    at = timezone.now()
    record(at)
    for _number in range(52):
        record(at, errors.UNDECODABLE)
    visitor.log_in(alice)
    page = visitor.page
    visitor.open(f"/console/apps/{app.app_id}/report/?range=today")
    page.get_by_role("link", name="返回码 4003 的调用").click()
    rows = page.locator("#calls tbody tr")
    expect(rows).to_have_count(50)
    expect(page.get_by_label("返回码")).to_have_value("4003")
    page.get_by_role("link", name="更早的记录").click()
    expect(rows).to_have_count(2)
    rows.first.get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="调用详情")).to_be_visible()
    assert visitor.axe() == []
    # A point of the chart links to the calls of its hour.
    visitor.open(f"/console/apps/{app.app_id}/report/?range=today&step=hour")
    canvas = page.locator("canvas").first
    point = canvas.evaluate(
        "canvas => { const chart = Chart.getChart(canvas), data = chart.getDatasetMeta(0).data;"
        f" const point = data[{timezone.localtime(at).hour}]; return [point.x, point.y]; }}"
    )
    canvas.click(position={"x": point[0], "y": point[1]})
    page.wait_for_url("**/calls/?range=custom**")
    expect(rows).to_have_count(50)
