"""Any id that a customer can quote leads to the same page: calls, answers, charges and payments."""

import re
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts import audit, keys, roles
from accounts.models import App, AppKey, User
from billing import quota
from billing.models import Debit, Order, Voucher
from billing.payments import wallet
from faceapi.models import Call
from faceapi.usage import rollups
from operations.reports.desk_tables import TABLES
from tests.operations.conftest import Login, World, call

pytestmark = pytest.mark.django_db


def desk(log_in: Login, text: str, status: int = 200, tab: str = "") -> str:
    reply = log_in("support").get("/ops/desk/", {"q": text, "tab": tab})
    assert reply.status_code == status
    return reply.content.decode()


def test_a_request_id_shows_its_cost_and_customer(world: World, log_in: Login) -> None:
    call = Call.objects.filter(code=0).latest("at")
    line = Debit.objects.get(pk=call.pk).lines.get()
    text = desk(log_in, str(call.pk))
    for part in (
        str(call.pk), call.app.app_id, call.app_key.key, call.app.customer.email, "203.0.113.9", "成功",
        "已抵扣",
        f"{line.units} 张" if call.api == "face_detect" else f"{line.units} 次",
        line.period.package.order.number,
    ):  # fmt: skip
        assert part in text


def test_a_refused_request_shows_the_reason_and_no_cost(world: World, log_in: Login) -> None:
    call = Call.objects.filter(code=4003).latest("at")
    text = desk(log_in, str(call.pk))
    assert "4003" in text
    assert "不收费" in text
    assert "第 0 张" in text


def test_every_id_finds_its_customer(world: World, log_in: Login) -> None:
    order = Order.objects.get(pk=world.orders[0].pk)
    app = world.app
    for text in (
        app.app_id, app.app_id.upper(), order.number, world.key.key, app.customer.username,
        app.customer.email.upper(), str(world.calls[0]), f"  {order.number} ",
    ):  # fmt: skip
        found = desk(log_in, text)
        expected = (
            Call.objects.get(pk=world.calls[0]).app.customer if text == str(world.calls[0]) else app.customer
        )
        assert expected.email in found, text


def test_a_customer_shows_the_latest_calls_of_all_apps(world: World, log_in: Login) -> None:
    customer = world.app.customer
    latest = list(Call.objects.filter(app__customer=customer).order_by("-at").values_list("pk", flat=True))
    assert len({call.app_id for call in Call.objects.filter(app__customer=customer)}) == 2
    text = desk(log_in, customer.username)
    shown = re.findall(r'href="\?q=([0-9a-f-]{36})"', text)
    assert shown == [str(pk) for pk in latest[:20]]


def test_a_customer_shows_the_vouchers_that_are_held(world: World, log_in: Login) -> None:
    voucher = Voucher.objects.get(customer=world.app.customer)
    text = desk(log_in, world.app.customer.username, tab="money")
    assert f"{voucher.remaining} / 30.00" in text
    assert Voucher.objects.exclude(pk=voucher.pk).get().code not in text


def test_actions_are_listed_beside_their_subjects(world: World, log_in: Login) -> None:
    order = world.orders[0]
    admin = log_in("admin")
    text = admin.get("/ops/desk/", {"q": order.number}).content.decode()
    text += admin.get("/ops/desk/", {"q": world.key.key}).content.decode().partition('class="tabs"')[2]
    package = order.package
    assert package is not None
    for name, subject in (
        ("top-up", order.customer), ("limits", order.app), ("disable-key", world.key), ("extend", package),
    ):  # fmt: skip
        assert text.count(f'href="/ops/acts/{name}/{subject.pk}/?next=%2Fops%2Fdesk%2F%3Fq%3D') == 1, name
    assert "/ops/acts/cancel/" not in text  # paid
    assert "/ops/acts/" not in desk(log_in, order.number).replace("/ops/acts/voucher/", "")  # support


def test_unknown_ids_are_not_found(world: World, log_in: Login) -> None:
    for text in (str(uuid4()), "app-0000000000", "f" * 16, "20200101000000000000", "nobody", "%", "' OR 1=1"):
        assert "没有找到" in desk(log_in, text, 404)
    assert "从客户给出的任何编号开始" in desk(log_in, "")


def test_a_partial_name_lists_the_matching_customers(world: World, log_in: Login) -> None:
    text = desk(log_in, "example.org", 404)
    assert "有多位客户符合" in text
    assert "alice" in text
    assert "bob" in text


def test_a_call_whose_process_died_shows_only_its_hold(world: World, log_in: Login, now: datetime) -> None:
    lost = uuid4()
    quota.reserve(call_id=lost, app=world.app, api="face_detect", images=2, at=now)
    text = desk(log_in, str(lost))
    assert "没有这次调用的记录" in text
    assert "预扣" in text


def test_html_in_names_is_shown_as_text(world: World, log_in: Login) -> None:
    customer = world.app.customer
    customer.company = "<script>alert(1)</script>"
    customer.save()
    text = desk(log_in, customer.username)
    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;alert(1)" in text


def with_many_apps(customer: User, count: int) -> list[App]:
    """Create `count` more Apps of the customer, newer than all others."""
    region = App.objects.filter(customer=customer).first().region  # has one
    made = [
        App(customer=customer, region=region, name="n", description="d", created_at=timezone.now())
        for _ in range(count)
    ]
    return App.objects.bulk_create(made)


def test_a_long_list_shows_its_length_and_can_be_opened(world: World, log_in: Login) -> None:
    customer = world.app.customer
    with_many_apps(customer, 190)
    total = App.objects.filter(customer=customer).count()
    page = desk(log_in, customer.username, tab="apps")
    assert f"显示 20 / {total}" in page
    assert f"?q={customer.username}&amp;tab=apps&amp;all=apps#apps" in page
    asked = {"q": customer.username, "tab": "apps", "all": "apps"}
    whole = log_in("support").get("/ops/desk/", asked).content.decode()
    assert f"显示 20 / {total}" not in whole
    assert [app.app_id for app in App.objects.filter(customer=customer) if app.app_id not in whole] == []


def test_the_latest_call_is_shown_whichever_app_it_was(world: World, now: datetime, log_in: Login) -> None:
    """Even if that App is not among the first ones that are listed."""
    customer = world.app.customer
    with_many_apps(customer, 30)
    made = call(world.app, "face_detect", now)
    assert str(made) in desk(log_in, customer.username)


def test_a_key_in_rotation_is_shown_with_its_end(world: World, now: datetime, log_in: Login) -> None:
    key = world.key
    keys.rotate(world.app, now, timedelta(hours=24))
    ends = timezone.localtime(now + timedelta(hours=24))
    assert f"已更换，可用至 {ends:%Y-%m-%d %H:%M}" in desk(log_in, world.app.app_id, tab="apps")
    assert "已更换" in desk(log_in, key.key)  # which opens that subject by itself


def test_each_tab_has_its_count_and_its_csv_file(world: World, log_in: Login, now: datetime) -> None:
    customer, support = world.app.customer, log_in("support")
    reply = support.get("/ops/desk/", {"q": customer.username})
    counts = {tab.name: tab.count for tab in reply.context["tabs"]}
    assert counts["apps"] == App.objects.filter(customer=customer).count()
    assert counts["orders"] == Order.objects.filter(customer=customer).count()
    for key in TABLES:
        file = support.get(f"/ops/desk/{key}.csv", {"q": customer.username})
        assert file.status_code == 200, key
        assert file["Content-Type"].startswith("text/csv")
    lines = support.get("/ops/desk/orders.csv", {"q": customer.username}).content.decode().splitlines()
    assert len(lines) == counts["orders"] + 1
    assert support.get("/ops/desk/orders.csv", {"q": "nobody"}).status_code == 404
    assert support.get("/ops/desk/secrets.csv", {"q": customer.username}).status_code == 404
    assert log_in("viewer").get("/ops/desk/orders.csv", {"q": customer.username}).status_code == 403


def test_what_operators_did_is_in_words(world: World, log_in: Login, operators: dict[str, User]) -> None:
    customer = world.app.customer
    roles.assign(customer, ["support", "finance"])
    by = operators["admin"]
    audit.record("top-up", customer, by=by, reason="why", at=timezone.now(), customer=customer)
    text = desk(log_in, customer.username, tab="acts")
    assert re.search(rf"充值\s*<span class=\"muted\">用户 {customer.pk}</span>", text)
    assert "客服、财务" in text


def test_many_actions_become_a_menu(world: World, log_in: Login) -> None:
    page = log_in("admin").get("/ops/desk/", {"q": world.app.customer.username}).content.decode()
    assert f'popovertarget="acts-user-{world.app.customer.pk}"' in page


def test_the_list_of_customers_shows_balance_calls_and_revenue(
    world: World, log_in: Login, now: datetime, operators: dict[str, User]
) -> None:
    support = log_in("support")
    AppKey.objects.filter(pk=world.key.pk).update(last_used_at=now)
    reply = support.get("/ops/customers/")
    (alice,) = [row for row in reply.context["table"].rows if row[0].text == "alice"]
    called = Call.objects.filter(
        app__customer__username="alice", at__gte=rollups.local_day(now) - timedelta(days=6)
    )
    assert alice[2] == 2
    assert alice[3] == wallet.balance(User.objects.get(username="alice"))
    assert alice[4] is not None
    assert alice[5].text == called.count()
    paid = Order.objects.filter(customer__username="alice", state="paid")
    assert alice[7] == sum(order.cash_paid for order in paid)
    assert "op-finance" not in reply.content.decode().partition("<table")[2]
    User.objects.filter(username="bob").update(company="Contoso")
    (only,) = support.get("/ops/customers/?q=contoso&sort=last").context["table"].rows
    assert only[0].text == "bob"
    for sort in ("calls", "income", "balance", "last", "joined", "nonsense"):
        file = support.get(f"/ops/customers/customers.csv?sort={sort}").content.decode().splitlines()
        assert len(file) == 1 + User.objects.filter(is_staff=False).count()
    assert log_in("viewer").get("/ops/customers/").status_code == 403
