"""Figures of the reports are links to the filtered report, its calls and the customer; views can be saved."""

import csv
import io
import re
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.utils import timezone
from playwright.sync_api import expect

from accounts import roles
from accounts.models import User
from faceapi.models import Call
from faceapi.usage import call_log, operator_reports, rollups, service_calls
from faceapi.usage.operator_reports import UsageFilter
from operations import customers, saved_views
from operations.models import SavedView
from operations.reports import comparisons
from tests.console.conftest import PASSWORD, Visitor
from tests.operations.conftest import Login, World, call

pytestmark = pytest.mark.django_db


def links(page: str, part: str) -> list[dict[str, str]]:
    """Return the parameters of each link of the page whose address begins with `part`."""
    found = re.findall(r'<a href="([^"]+)"', page.replace("&amp;", "&"))
    return [
        {name: values[0] for name, values in parse_qs(urlsplit(one).query).items()}
        for one in found
        if one.startswith(part)
    ]


def rows(client: Client, path: str) -> list[dict[str, str]]:
    reply = client.get(path)
    assert reply.status_code == 200
    return list(csv.DictReader(io.StringIO(reply.content.decode("utf-8-sig"))))


def test_each_row_adds_its_filter_to_those_of_the_report(world: World, log_in: Login) -> None:
    support = log_in("support")
    page = support.get("/ops/usage/?range=30d&api=face_detect").content.decode()
    narrowed = links(page, "/ops/usage/")
    assert {"range": "30d", "api": "face_detect", "who": "alice"} in narrowed
    assert {"range": "30d", "api": "face_detect", "code": "4003"} in narrowed
    assert {"range": "30d", "api": "face_detect", "who": world.app.app_id} in narrowed
    assert any("region" in one and one["range"] == "30d" for one in narrowed)
    assert any(one.get("range") == "custom" and one["since"] == one["until"] for one in narrowed)
    assert {"range": "30d", "api": "face_detect", "code": "4003"} in links(page, "/ops/calls/")
    assert links(page, "/ops/desk/")
    viewer = log_in("viewer").get("/ops/usage/?range=30d").content.decode()
    assert links(viewer, "/ops/usage/")
    assert not links(viewer, "/ops/desk/")  # which a viewer may not open
    assert not links(viewer, "/ops/calls/")


def test_a_code_links_to_exactly_its_calls(world: World, log_in: Login) -> None:
    support = log_in("support")
    for code, number in Counter(Call.objects.values_list("code", flat=True)).items():
        (link,) = [
            one
            for one in re.findall(
                r'href="(/ops/calls/[^"]+)"', support.get("/ops/usage/?range=30d").content.decode()
            )
            if f"code={code}" in one
        ]
        assert support.get(link.replace("&amp;", "&")).status_code == 200
        exported = rows(support, link.replace("&amp;", "&").replace("/ops/calls/", "/ops/calls/calls.csv"))
        assert len(exported) == number
        assert {one["返回码"] for one in exported} == {str(code)}
        narrowed = rows(support, f"/ops/usage/usage-by-time.csv?range=30d&code={code}")
        assert sum(int(one["调用次数"]) for one in narrowed) == number


def test_the_figures_above_a_report_lead_to_their_records(world: World, log_in: Login) -> None:
    support = log_in("support")
    found = 0
    for report in ("/ops/business/?range=30d", "/ops/usage/?range=30d"):
        page = support.get(report)
        for stat in page.context["stats"]:
            ((value, _unit),) = stat.parts
            if stat.label not in ("新建应用", "新订单", "已支付订单", "调用次数"):
                continue
            path, _question, query = stat.href.partition("?")
            file = "calls.csv" if path == "/ops/calls/" else "export.csv"
            assert len(rows(support, f"{path}{file}?{query}")) == int(value) > 0, stat.label
            assert stat.href.replace("&", "&amp;") in page.content.decode()
            found += 1
        assert 'class="plain"' not in log_in("viewer").get(report).content.decode()
    assert found == 4


def test_the_pages_of_calls_contain_each_call_once(world: World, now: datetime) -> None:
    wanted = call_log.Filter(now - timedelta(days=30), now + timedelta(minutes=1))
    failed = replace(wanted, code=call_log.FAILED)
    for asked, expected in (
        (wanted, Call.objects.all()),
        (failed, Call.objects.exclude(code=0)),
        (replace(wanted, api="face_compare"), Call.objects.filter(api="face_compare")),
        (replace(wanted, code="0"), Call.objects.filter(code=0)),
        (replace(wanted, code="4003"), Call.objects.filter(code=4003)),
    ):
        found, after = [], None
        while page := service_calls.find(asked, 7, after):
            found += [one.pk for one in page]
            after = page[-1].pk
        assert found == sorted(expected.values_list("pk", flat=True), reverse=True)
    assert service_calls.find(wanted, 5, region=-1) == []


def test_calls_are_filtered_by_customer(world: World, log_in: Login) -> None:
    support, customer = log_in("support"), world.app.customer
    exported = rows(support, f"/ops/calls/calls.csv?range=30d&who={customer.username}")
    assert len(exported) == Call.objects.filter(app__customer=customer).count()
    assert {one["客户"] for one in exported} == {customer.username}
    wrong = support.get("/ops/calls/?who=nobody-of-that-name")
    assert wrong.status_code == 400
    assert wrong.context["table"].rows == []
    assert log_in("viewer").get("/ops/calls/").status_code == 403


def test_a_company_is_accepted_wherever_a_customer_is(
    world: World, alice: User, bob: User, log_in: Login
) -> None:
    User.objects.filter(pk=alice.pk).update(company="Contoso 上海设施管理")
    User.objects.filter(pk=bob.pk).update(company="Contoso 北京")
    assert customers.named("contoso 上海") == alice
    with pytest.raises(customers.Ambiguous):
        customers.named("contoso")
    support = log_in("support")
    only = rows(support, "/ops/usage/top-customers.csv?range=30d&who=Contoso 上海")
    assert {one["客户"] for one in only} == {"alice"}
    assert {one["客户"] for one in rows(support, "/ops/calls/calls.csv?range=30d&who=上海设施")} == {"alice"}
    several = support.get("/ops/usage/?who=Contoso")
    assert several.status_code == 400
    assert "alice" in several.content.decode()


def test_an_address_names_only_the_account_that_verified_it(
    world: World, alice: User, bob: User, log_in: Login
) -> None:
    """Bob is the older account, and entered the address of Alice's company first."""
    address = "finance@contoso.example"
    older, owner = sorted((alice, bob), key=lambda user: user.pk)
    User.objects.filter(pk=older.pk).update(email=address, email_verified_at=None, company="Contoso")
    User.objects.filter(pk=owner.pk).update(email=address, company="Contoso")
    assert customers.named(address.upper()) == owner
    desk = log_in("support").get("/ops/desk/", {"q": address}).context["story"]
    assert desk.customer == owner
    User.objects.filter(pk=owner.pk).update(email_verified_at=None)
    with pytest.raises(customers.Ambiguous):
        customers.named(address)
    several = log_in("support").get("/ops/desk/", {"q": address})
    assert several.content.decode().count(f"{address}（未验证）") == 2


def test_figures_are_compared_with_the_previous_period(
    world: World, log_in: Login, time_machine: object
) -> None:
    noon = timezone.localtime().replace(hour=12, minute=30, second=0, microsecond=0)
    Call.objects.all()
    app = world.app
    quiet = noon - timedelta(days=40)  # when nothing else was called
    for back, number in ((0, 6), (1, 4)):
        for one in range(number):
            call(app, "face_detect", quiet - timedelta(days=back, hours=1, minutes=one), code=4003)
    call(app, "face_detect", quiet - timedelta(days=1) + timedelta(hours=3), code=4003)
    time_machine.move_to(quiet, tick=False)  # type: ignore[attr-defined]
    page = log_in("viewer").get("/ops/usage/?range=today").content.decode()
    assert "+50%" in page  # compared up to the same hour of the day before
    time_machine.move_to(quiet + timedelta(days=5), tick=False)  # type: ignore[attr-defined]
    day = quiet.strftime("%Y-%m-%d")
    (row,) = rows(log_in("viewer"), f"/ops/usage/usage-by-code.csv?range=custom&since={day}&until={day}")
    assert row["较上期"].removeprefix("'") == "+20%"  # compared with the whole day before


def test_a_part_of_a_closed_day_is_read_from_the_hourly_sums(world: World, now: datetime) -> None:
    rollups.close(now)
    cut = rollups.local_day(now) - timedelta(days=4) + timedelta(hours=13)
    span = UsageFilter(rollups.local_day(now) - timedelta(days=9), cut)
    expected = Counter(Call.objects.filter(at__gte=span.since, at__lt=cut).values_list("app_id", flat=True))
    assert {app: one.calls for app, one in operator_reports.by_app(span).items()} == expected
    assert operator_reports.totals(span).total.calls == sum(expected.values())
    whole = UsageFilter(span.since, rollups.local_day(now) + timedelta(days=1))
    made, total = operator_reports.usage(whole), operator_reports.totals(whole)
    assert (made.total, made.by_api, made.by_code) == (total.total, total.by_api, total.by_code)


@pytest.mark.parametrize(
    ("now", "before", "better", "text", "trend"),
    [
        (150, 100, True, "+50%", "better"),
        (150, 100, False, "+50%", "worse"),
        (50, 100, True, "-50%", "worse"),
        (100, 100, True, "+0%", "same"),
        (150, 100, None, "+50%", "same"),
        (150, 0, True, "", "same"),
        (None, 100, True, "", "same"),
    ],
)
def test_a_change_is_shown_in_percent_with_its_trend(
    now: int | None, before: int, better: bool | None, text: str, trend: str
) -> None:
    made = comparisons.change(now, before, more_is_better=better)
    assert (made.text, made.trend) == (text, trend)


def test_each_operator_has_separate_views(operators: dict[str, User], log_in: Login, now: datetime) -> None:
    support, finance = log_in("support"), log_in("finance")
    address = "/ops/usage/?range=30d&api=face_detect&after=x"
    support.post("/ops/views/", {"name": " 检测  30 天 ", "next": address})
    view = SavedView.objects.get()
    assert (view.owner, view.name, view.href) == (
        operators["support"], "检测 30 天", "/ops/usage/?range=30d&api=face_detect",
    )  # fmt: skip
    assert "检测 30 天" in support.get("/ops/").content.decode()
    assert "检测 30 天" in support.get("/ops/usage/").content.decode()
    assert "检测 30 天" not in finance.get("/ops/usage/").content.decode()
    assert finance.post(f"/ops/views/{view.pk}/delete/").status_code == 404
    for wrong in ("https://evil.example/ops/", "/console/", ""):
        support.post("/ops/views/", {"name": "x", "next": wrong})
    support.post("/ops/views/", {"name": "  ", "next": address})
    assert SavedView.objects.count() == 1
    for number in range(saved_views.LIMIT + 3):
        saved_views.keep(operators["support"], f"v{number}", "/ops/usage/", now)
    assert SavedView.objects.filter(owner=operators["support"]).count() == saved_views.LIMIT
    path = f"/ops/views/{view.pk}/delete/"
    assert "删除视图" in support.post(path, {"next": "/ops/usage/"}).content.decode()  # without JavaScript
    support.post(path, {"next": "/ops/usage/", "confirmed": "1"})
    assert not SavedView.objects.filter(pk=view.pk).exists()


@pytest.mark.browser
def test_a_figure_leads_to_one_call_in_a_browser(visitor: Visitor, world: World) -> None:
    anna = User.objects.create_user("anna", "anna@example.org", PASSWORD)
    roles.assign(anna, ["admin"])
    page = visitor.page
    visitor.log_in(anna)
    visitor.open("/ops/usage/?range=30d")
    page.locator("#usage-by-code tr", has_text="4003").get_by_role("link", name="查看调用").click()
    expect(page.get_by_role("heading", name="调用记录").first).to_be_visible()
    assert visitor.axe() == []
    page.get_by_text("保存此视图").click()
    page.get_by_label("名称").fill("格式错误")
    visitor.press("保存")
    expect(page.get_by_role("link", name="格式错误")).to_be_visible()
    page.locator("#calls tbody a").first.click()
    expect(page.get_by_role("heading", name="这次调用")).to_be_visible()
