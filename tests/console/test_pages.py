"""Pages, tested without a browser: access, cost, validation."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts import keys
from accounts.models import App, User
from billing import catalogue, orders
from billing.models import Order, OrderState, Package, Sku
from billing.payments import refunds, vouchers
from console.views import docs
from tests.console.conftest import PASSWORD, Place
from tests.console.screenshots import CONSOLE, PUBLIC
from tests.markup import markup


def pages_of(app: App, order: Order) -> list[str]:
    return [
        f"/console/apps/{app.app_id}/",
        f"/console/apps/{app.app_id}/keys/",
        f"/console/apps/{app.app_id}/calls/",
        f"/console/apps/{app.app_id}/report/",
        f"/console/apps/{app.app_id}/report.csv",
        f"/console/apps/{app.app_id}/gallery/",
        f"/console/apps/{app.app_id}/trail/",
        f"/console/apps/{app.app_id}/trail.csv",
        f"/console/orders/{order.number}/",
        f"/console/debug/?app={app.app_id}",
        f"/console/orders/new/?app={app.app_id}",
    ]


@pytest.mark.django_db
def test_every_public_page_is_served(client: Client) -> None:
    for name, path in PUBLIC.items():
        assert client.get(path).status_code == (404 if name == "404" else 200), path


def test_every_page_of_the_console_is_served(as_alice: Client, app: App) -> None:
    order = Order.objects.filter(app=app).latest("pk")
    for path in [*CONSOLE.values(), *pages_of(app, order)]:
        assert as_alice.get(path).status_code == 200, path


def test_anonymous_users_are_redirected_to_the_login(client: Client, app: App) -> None:
    for path in [*CONSOLE.values(), *pages_of(app, Order.objects.filter(app=app).latest("pk"))]:
        reply = client.get(path)
        assert reply.status_code == 302, path
        assert reply["Location"].startswith("/login/?next="), path


def test_another_customers_pages_are_404(as_bob: Client, app: App) -> None:
    order = Order.objects.filter(app=app).latest("pk")
    for path in pages_of(app, order):
        assert as_bob.get(path).status_code == 404, path
    posts = {
        f"/console/orders/{order.number}/pay/": {},
        f"/console/orders/{order.number}/cancel/": {},
        f"/console/apps/{app.app_id}/": {"name": "mine", "description": "mine"},
        f"/console/apps/{app.app_id}/keys/": {"act": "rotate", "overlap": "0", "password": PASSWORD},
        "/console/debug/": {"app": app.app_id, "api": "face_detect", "sample": "1"},
        "/console/orders/confirm/": {"app": app.app_id, "api": "face_detect", "quantity": "1", "months": "1"},
    }
    for path, data in posts.items():
        assert as_bob.post(path, data).status_code == 404, path


def test_a_key_of_another_app_is_404(as_bob: Client, bob: User, app: App, place: Place) -> None:
    order = place(bob)
    bobs = orders.pay(order, order.created_at).app
    assert bobs is not None
    alices = app.keys.get()
    asked = {"act": "show", "key": alices.key, "password": PASSWORD}
    assert as_bob.post(f"/console/apps/{bobs.app_id}/keys/", asked).status_code == 404


def test_html_in_names_is_shown_as_text(as_alice: Client, alice: User, place: Place) -> None:
    order = place(alice, name="<b>x</b><i>")
    paid = orders.pay(order, order.created_at).app
    assert paid is not None
    for path in [
        "/console/",
        "/console/apps/",
        "/console/orders/",
        "/console/debug/",
        *pages_of(paid, order),
    ]:
        page = as_alice.get(path).content.decode()
        assert "<b>x</b>" not in page, path


@pytest.mark.django_db
def test_every_form_needs_a_csrf_token(alice: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    for path in (
        "/login/",
        "/register/",
        "/language/",
        "/console/debug/",
        "/console/wallet/",
        "/console/settings/",
    ):
        assert strict.post(path, {}).status_code == 403, path


@pytest.mark.django_db
def test_no_inline_script_or_style_is_needed_or_allowed(as_alice: Client, app: App) -> None:
    order = Order.objects.filter(app=app).latest("pk")
    for path in [*PUBLIC.values(), *CONSOLE.values(), *pages_of(app, order)]:
        reply = as_alice.get(path)
        policy = reply["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "script-src 'self'" in policy
        assert "default-src 'none'" in policy
        page = reply.content.decode()
        assert not re.search(r"\sstyle=|\son[a-z]+=|<style", page), path
        for attributes, body in re.findall(r"<script([^>]*)>(.*?)</script>", page, re.S):
            assert "src=" in attributes or ("application/json" in attributes and body), path
        assert "http://" not in re.sub(r"http://testserver[^\"<]*", "", page), path


@pytest.mark.parametrize(
    ("language", "theme", "words"), [("zh-hans", "", "服务出错"), ("en", "dark", "Something went wrong")]
)
def test_the_error_page_has_the_readers_language_and_theme(
    monkeypatch: pytest.MonkeyPatch, language: str, theme: str, words: str
) -> None:
    """This test has no access to the database: a query would fail it."""

    def broken(*_args: object, **_more: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(docs, "render", broken)
    reader = Client(raise_request_exception=False)
    reader.cookies["django_language"], reader.cookies["theme"] = language, theme
    reply = reader.get("/docs/")
    page = reply.content.decode()
    assert reply.status_code == 500
    assert words in page
    assert f'name="color-scheme" content="{theme or "light dark"}"' in page
    assert ('data-theme="dark"' in page) == (theme == "dark")
    assert "<script" not in page
    assert bool(re.search("[\u4e00-\u9fff]", page)) == (language != "en")


def test_pages_are_small(client: Client, as_alice: Client, app: App) -> None:
    """Every page with all that it loads, uncompressed, except the charts and the sample photograph."""
    order = Order.objects.filter(app=app).latest("pk")
    own_pages = [path for path in [*CONSOLE.values(), *pages_of(app, order)] if not path.endswith(".csv")]
    for reader, path in [
        *((client, path) for path in PUBLIC.values()),
        *((as_alice, path) for path in own_pages),
    ]:
        page = reader.get(path).content.decode()
        loaded = set(re.findall(r'(?:src|href)="/static/([^"]+?\.(?:css|js|svg))"', page))
        assert {"css/app.css", "css/pages.css", "js/app.js"} <= loaded, path
        weight = sum(size_of(one) for one in loaded if "chart" not in one)
        assert len(page.encode()) + weight < 200_000, path


def size_of(name: str) -> int:
    return Path(str(finders.find(name))).stat().st_size


def test_the_chart_library_is_found_in_its_version() -> None:
    found = finders.find("vendor/chart.umd.min.js")
    assert found
    assert "Chart.js v4.6.1" in Path(str(found)).read_text()


@pytest.mark.django_db
def test_five_wrong_passwords_lock_the_login(client: Client, alice: User) -> None:
    wrong = {"username": "alice", "password": "not-it"}
    replies = [client.post("/login/", wrong).status_code for _try in range(5)]
    assert replies == [200, 200, 200, 200, 429]
    locked = client.post("/login/", {"username": "alice", "password": PASSWORD})
    assert locked.status_code == 429
    assert "15 分钟后再试" in locked.content.decode()


def test_wrong_passwords_on_the_key_page_lock_too(as_alice: Client, app: App) -> None:
    key = app.keys.get()
    path = f"/console/apps/{app.app_id}/keys/"
    for _try in range(5):
        refused = as_alice.post(path, {"act": "show", "key": key.key, "password": "not-it"}, follow=True)
        assert keys.secret_of(key) not in refused.content.decode()
    after = as_alice.post(path, {"act": "show", "key": key.key, "password": PASSWORD}, follow=True)
    assert keys.secret_of(key) not in after.content.decode()


def test_the_secret_is_shown_after_the_password_and_never_cached(as_alice: Client, app: App) -> None:
    key = app.keys.get()
    path = f"/console/apps/{app.app_id}/keys/"
    assert keys.secret_of(key) not in as_alice.get(path).content.decode()
    sent = as_alice.post(path, {"act": "show", "key": key.key, "password": PASSWORD})
    assert sent["Location"] == path
    shown = as_alice.get(path)
    assert keys.secret_of(key) in shown.content.decode()
    assert "no-store" in shown["Cache-Control"]
    assert keys.secret_of(key) not in as_alice.get(path).content.decode()


def test_a_new_secret_is_shown_once_and_only_for_a_while(as_alice: Client, app: App) -> None:
    path = f"/console/apps/{app.app_id}/keys/"
    as_alice.post(path, {"act": "rotate", "overlap": "0", "password": PASSWORD})
    new = app.keys.latest("pk")
    session = as_alice.session
    assert keys.secret_of(new) not in str(dict(session))
    session["revealed_key"] = [new.pk, 0, True]  # revealed long ago
    session.save()
    assert keys.secret_of(new) not in as_alice.get(path).content.decode()
    as_alice.post(path, {"act": "rotate", "overlap": "0", "password": PASSWORD})
    newest = app.keys.latest("pk")
    page = as_alice.get(path).content.decode()
    assert "新密钥已生成" in page
    assert keys.secret_of(newest) in page


def test_a_rotation_keeps_the_old_key_for_the_chosen_time(as_alice: Client, app: App) -> None:
    old = app.keys.get()
    path = f"/console/apps/{app.app_id}/keys/"
    as_alice.post(path, {"act": "rotate", "overlap": "86400", "password": PASSWORD})
    old.refresh_from_db()
    new = app.keys.exclude(pk=old.pk).get()
    assert old.expires_at is not None
    assert abs(old.expires_at - new.created_at - timedelta(days=1)) < timedelta(seconds=1)
    as_alice.post(path, {"act": "disable", "key": old.key, "password": PASSWORD})
    assert keys.live_key(old.key, timezone.now()) is None
    assert keys.live_key(new.key, timezone.now()) is not None


def test_one_form_makes_one_order(as_alice: Client) -> None:
    answers = {"name": "门禁", "description": "一号楼", "api": "face_detect", "tier": "thousand"}
    answers |= {"quantity": "2", "months": "1", "token": "one-form", "amount": "0.00", "region": "cn-sh6"}
    first = as_alice.post("/console/orders/confirm/", answers)
    again = as_alice.post("/console/orders/confirm/", answers)
    assert first["Location"] == again["Location"]
    assert Order.objects.count() == 1
    other = as_alice.post("/console/orders/confirm/", answers | {"quantity": "3"})
    assert other.status_code == 409
    assert "这张表单已提交过" in other.content.decode()


def test_a_changed_price_is_reported(as_alice: Client, place: Place, alice: User) -> None:
    sku = place(alice).sku
    sku.price = 5
    sku.save()
    answers = {"name": "门禁", "description": "一号楼", "api": sku.api, "tier": sku.tier}
    answers |= {"quantity": "2", "months": "1", "token": "seen-at-zero", "amount": "0.00"}
    reply = as_alice.post("/console/orders/confirm/", answers)
    assert reply.status_code == 409
    assert "价格已变更为 10.00 元" in reply.content.decode()


def test_insufficient_balance_is_reported_and_the_order_stays(
    as_alice: Client, alice: User, place: Place, settings: Settings
) -> None:
    settings.SUPPORT_CONTACT = "400-000-0000"
    sku = place(alice).sku
    sku.price = 5
    sku.save()
    order = place(alice)
    reply = as_alice.post(f"/console/orders/{order.number}/pay/", follow=True)
    assert reply.content.decode().count("余额不足") == 1
    page = as_alice.get(f"/console/orders/{order.number}/pay/").content.decode()
    assert '<button class="btn btn-primary btn-l btn-wide" id="pay-now" disabled>' in page
    assert "联系方式：400-000-0000" in page
    order.refresh_from_db()
    assert order.state == OrderState.PENDING


def test_the_page_of_an_order_shows_its_current_state(as_alice: Client, alice: User, place: Place) -> None:
    order = place(alice)
    package = orders.pay(order, order.created_at).package
    path = f"/console/orders/{order.number}/"
    works = "服务已生效"
    assert works in as_alice.get(path).content.decode()
    ended = order.created_at - timedelta(days=1)
    Package.objects.filter(pk=package.pk).update(starts_at=ended - timedelta(days=30), ends_at=ended)
    page = as_alice.get(path).content.decode()
    assert works not in page
    assert "为止，再次购买后可继续调用" in page
    Package.objects.filter(pk=package.pk).update(starts_at=package.starts_at, ends_at=package.ends_at)
    clerk = User.objects.create_user("clerk", "clerk@example.com")
    refunds.refund(package, by=clerk, reason="test", at=order.created_at + timedelta(seconds=1))
    page = as_alice.get(path).content.decode()
    assert works not in page
    assert "退款，资源包已失效" in page


def test_a_voucher_code_is_redeemed_once(as_alice: Client, as_bob: Client, alice: User, place: Place) -> None:
    order = place(alice)
    voucher = vouchers.issue(
        face_value=catalogue.amount(order.unit_price + 8, 1, 1),
        valid_from=order.created_at,
        valid_until=order.created_at + timedelta(days=30),
        by=User.objects.create_user("clerk", "clerk@example.com"),
        reason="test",
        at=order.created_at,
    )
    for said in ("已领取面值 8.00 元 的代金券", "面值 8.00 元 的代金券已在您的账户中"):
        reply = as_alice.post("/console/wallet/", {"code": voucher.code.lower()}, follow=True)
        assert said in reply.content.decode()
    assert "该代金券已被领取" in as_bob.post("/console/wallet/", {"code": voucher.code}).content.decode()
    assert "券码不存在" in as_bob.post("/console/wallet/", {"code": "no-such"}).content.decode()


@pytest.mark.parametrize(("price", "is_free"), [("0.00", True), ("0.01", False)])
def test_only_a_zero_price_is_called_free(client: Client, as_bob: Client, price: str, is_free: bool) -> None:
    Sku.objects.update(price=price)
    pages = [client.get(path) for path in PUBLIC.values()] + [as_bob.get(path) for path in CONSOLE.values()]
    assert any("免费" in page.content.decode() for page in pages) == is_free


def test_the_app_list_takes_the_same_queries_for_any_number_of_apps(
    as_alice: Client,
    alice: User,
    app: App,
    place: Place,
    settings: Settings,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    settings.FREE_PACKAGES_PER_CUSTOMER = 99
    for number in range(19):
        order = place(alice, name=f"应用{number}")
        orders.pay(order, order.created_at)
    with django_assert_max_num_queries(12):
        as_alice.get("/console/apps/")
    with django_assert_max_num_queries(26):  # eight of them are for the previous period
        as_alice.get(f"/console/apps/{app.app_id}/report/?range=30d")


@pytest.mark.django_db
def test_a_password_is_reset_by_mail(client: Client, alice: User) -> None:
    client.post("/password/reset/", {"email": "alice@example.org"})
    (sent,) = mail.outbox
    link = re.search(r"/password/reset/\S+", str(sent.body))
    assert link
    form = client.get(link.group(), follow=True)
    new = {"new_password1": "xin-mi-ma-2027", "new_password2": "xin-mi-ma-2027"}
    client.post(form.request["PATH_INFO"], new)
    fresh = {"username": "alice", "password": "xin-mi-ma-2027"}
    assert Client().post("/login/", fresh)["Location"] == "/console/"
    client.post("/password/reset/", {"email": "nobody@example.org"})
    assert len(mail.outbox) == 1


@pytest.mark.django_db
def test_registration_shows_an_error_beside_each_field(client: Client, alice: User) -> None:
    email = f"a@{'ä' * 60}.example"  # longer than 63 characters once it is encoded
    bad = {"username": "a b", "email": email, "password1": "12345678", "password2": "12345678"}
    page = client.post("/register/", bad).content.decode()
    assert "用户名为 3-30 个汉字、英文字母" in page
    assert "邮件系统无法使用这个邮箱地址" in page
    assert not User.objects.filter(username="a b").exists()


@pytest.mark.parametrize(
    ("chosen", "status"),
    [
        ({"quota_on": "on", "quota_percents": "50，90%"}, 302),
        ({"quota_percents": ""}, 302),
        ({"quota_on": "on", "quota_percents": ""}, 422),
        ({"quota_on": "on", "quota_percents": "0"}, 422),
        ({"quota_on": "on", "quota_percents": "many"}, 422),
    ],
)
def test_notices_that_are_switched_on_need_valid_percentages(
    as_alice: Client, chosen: dict[str, str], status: int
) -> None:
    reply = as_alice.post("/console/inbox/", chosen)
    assert reply.status_code == status
    assert ('id="id_quota_percents_error"' in reply.content.decode()) == (status == 422)


def test_the_login_redirects_only_within_this_site(client: Client, alice: User) -> None:
    login = {"username": "alice@example.org", "password": PASSWORD}
    assert client.post("/login/", login | {"next": "https://evil.example/"})["Location"] == "/console/"
    client.logout()
    assert client.post("/login/", login | {"next": "/console/wallet/"})["Location"] == "/console/wallet/"
    assert client.post("/language/", {"language": "en", "next": "//evil.example"})["Location"] == "/"


def test_the_report_is_exported_as_csv(as_alice: Client, app: App) -> None:
    reply = as_alice.get(f"/console/apps/{app.app_id}/report.csv?range=7d")
    lines = reply.content.decode().lstrip("\ufeff").splitlines()
    assert lines[0].startswith("时间（UTC+8）,调用次数,成功,失败")
    assert len(lines) == 8
    wrong = as_alice.get(f"/console/apps/{app.app_id}/report/?range=custom&since=2026-05-02&until=2026-05-01")
    assert "开始日期不能晚于结束日期" in wrong.content.decode()
    assert 'value="2026-05-02" aria-invalid="true"' in markup(wrong)
    far = as_alice.get(f"/console/apps/{app.app_id}/report/?range=custom&since=0001-01-01&until=9999-12-31")
    assert "日期无效：请填写" in far.content.decode()


def test_cookies_are_http_only(client: Client, alice: User) -> None:
    client.get("/login/")
    client.post("/login/", {"username": "alice", "password": PASSWORD})
    for name in ("sessionid", "csrftoken"):
        assert client.cookies[name]["httponly"], name
        assert client.cookies[name]["samesite"] == "Lax", name


def test_an_upload_over_the_limit_is_refused(as_alice: Client, app: App) -> None:
    many = [SimpleUploadedFile(f"{n}.jpg", b"\xff" * 9_000_000, "image/jpeg") for n in range(3)]
    reply = as_alice.post("/console/debug/", {"app": app.app_id, "api": "face_detect", "files": many})
    assert "图片合计超过 24 MB" in reply.content.decode()
