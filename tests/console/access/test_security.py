"""What strangers, customers and hostile browsers cannot do. Operators' rights: operations/test_roles.py."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from axes.models import AccessAttempt
from django.contrib.auth import authenticate
from django.contrib.auth.hashers import make_password
from django.core import mail
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts import keys
from accounts.models import App, User
from billing import notices
from billing.models import Notice, Order, Package
from billing.payments import vouchers, wallet
from common import valkey
from console.middleware import throttle
from facecloud.celery import app as celery_app
from facecloud.env import FOLDER_BACKEND, LOG_BACKEND
from tests.console.conftest import PASSWORD, Place

WRONG = {"username": "alice", "password": "not-it"}
RIGHT = {"username": "alice", "password": PASSWORD}
MALLORY = {
    "username": "mallory",
    "email": "m@example.org",
    "password1": "xin-mi-ma-2027",
    "password2": "xin-mi-ma-2027",
}
WISH = {
    "api": "face_detect",
    "tier": "thousand",
    "quantity": "1",
    "months": "1",
    "name": "n",
    "description": "d",
}


def addresses(resolver: URLResolver, before: str = "/") -> Iterator[str]:
    """Return the product's URL patterns as written in urls.py."""
    for entry in resolver.url_patterns:
        whole = before + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield whole
        else:
            yield from addresses(entry, whole)


def test_pages_that_take_no_files_store_none(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django's handler would store them before it checks the CSRF token."""
    stored: list[str] = []
    monkeypatch.setattr("tempfile.NamedTemporaryFile", lambda *_args, **_more: stored.append("a file"))
    strict = Client(enforce_csrf_checks=True)
    strict.cookies["csrftoken"] = "a" * 32
    big = ContentFile(bytes(3 * 2**20), "big.png")  # larger than Django keeps in memory
    assert strict.post("/login/", {"file": big}).status_code == 403
    token = {"csrfmiddlewaretoken": "a" * 32}
    assert strict.post("/login/", {**token, **WRONG, "z": big}).status_code == 200
    assert stored == []


OPEN = re.compile(
    r"/($|login/|register/|logout/|language/|theme/|password/reset/|docs/|static/|api/schema/|metrics$"
    r"|readyz|healthz|(face/)?(api/)?v1/|admin/logout/)"
)


def test_every_other_page_requires_a_login(client: Client, app: App) -> None:
    """This includes future pages: whatever is not listed as public needs a login."""
    order = Order.objects.filter(app=app).latest("pk")
    words = {
        "number": order.number, "app_id": app.app_id, "call_id": str(UUID(int=1)), "key": "x",
        "name": "top-up", "pk": "1", "object_id": "1", "app_label": "billing", "url": "x",
        "content_type_id": "1",
    }  # fmt: skip
    asked = 0
    for pattern in addresses(get_resolver()):
        if OPEN.match(pattern):
            continue
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda word: words[word[1]], pattern)
        path = re.sub(r"\(\?P<(\w+)>[^)]*\)", lambda word: words[word[1]], path).replace("^", "").rstrip("$")
        for method in (client.get, client.post):
            reply = method(path, REMOTE_ADDR="203.0.113.1")
            assert (reply.status_code, reply.headers.get("Location", "").partition("?")[0]) in {
                (302, "/login/"), (302, "/admin/login/"), (405, ""), (404, ""),
            }, path  # fmt: skip
            asked += reply.status_code == 302
    assert asked > 60


def test_a_customer_cannot_change_anothers_rows(as_bob: Client, alice: User, app: App, place: Place) -> None:
    """Bob sends Alice's ids in every field of every form."""
    pending = place(alice)
    notice = Notice.objects.create(
        customer=alice, kind="unpaid", key="k", order=pending, created_at=timezone.now()
    )
    key = app.keys.get()
    bought = Package.objects.filter(app=app).count()
    as_bob.post("/console/inbox/", {"act": "read", "id": str(notice.pk)})
    as_bob.post(
        "/console/settings/", {"email": "ALICE@example.org", "company": "", "phone": "", "language": "en"}
    )
    order = WISH | {"token": "t", "amount": "0", "app": app.app_id}
    assert as_bob.post("/console/orders/confirm/", order).status_code == 404
    for act in ("show", "rotate", "disable"):
        asked = {"act": act, "key": key.key, "password": PASSWORD, "overlap": "0"}
        assert as_bob.post(f"/console/apps/{app.app_id}/keys/", asked).status_code == 404
    assert notices.unread_count(alice) == 1
    assert User.objects.get(username="bob").email == "bob@example.org"
    assert Package.objects.filter(app=app).count() == bought
    assert keys.live(timezone.now()).filter(pk=key.pk).exists()
    pending.refresh_from_db()
    assert pending.state == "pending"


def test_lists_and_files_have_no_rows_of_other_customers(
    as_bob: Client, alice: User, bob: User, app: App
) -> None:
    operator = User.objects.create_superuser("olga", "olga@example.org", PASSWORD)
    wallet.top_up(alice, wallet.LARGEST, by=operator, reason="alice's own money", at=timezone.now())
    mine = {alice.email, app.app_id, "alice's own money", *Order.objects.values_list("number", flat=True)}
    for path in ("/console/", "/console/apps/", "/console/orders/", "/console/wallet/", "/console/inbox/",
                 "/console/wallet/statement.csv", "/console/debug/", "/console/orders/?q=20"):  # fmt: skip
        page = as_bob.get(path).content.decode()
        assert not [one for one in mine if one in page], path


def test_unknown_form_fields_are_ignored(client: Client, alice: User) -> None:
    rights = {"is_staff": "on", "is_superuser": "on", "groups": "4", "user_permissions": "1", "is_active": ""}
    assert client.post("/register/", MALLORY | rights).status_code == 302
    settings = {"email": "m@example.org", "company": "Ltd", "phone": "", "language": "en", "username": "root"}
    assert client.post("/console/settings/", settings | rights).status_code == 302
    mallory = User.objects.get(company="Ltd")
    assert (mallory.username, mallory.is_staff, mallory.is_superuser) == ("mallory", False, False)
    assert not mallory.groups.exists()
    assert client.get("/ops/").status_code == 403


def test_no_field_of_the_form_changes_the_price_of_an_order(
    as_alice: Client, alice: User, place: Place
) -> None:
    """Any amount except the price is refused, and no field sets price, owner or state."""
    sku = place(alice).sku
    sku.price = 5
    sku.save()
    mine = {"unit_price": "0", "price": "0", "units_per_month": "9999", "customer": "1", "state": "paid"}

    def confirm(amount: str) -> int:
        form = WISH | mine | {"token": f"with {amount}", "amount": amount}
        return as_alice.post("/console/orders/confirm/", form).status_code

    wrong = ("0", "0.00", "-5", "4.99")
    assert {amount: confirm(amount) for amount in wrong} == dict.fromkeys(wrong, 409)
    taken = ("5.00", "", "sNaN", "NaN", "Infinity", "1e9999999")  # an invalid amount is not compared
    assert {amount: confirm(amount) for amount in taken} == dict.fromkeys(taken, 302)
    ordered = Order.objects.filter(token__startswith="with ")
    assert {(order.customer, order.amount, order.unit_price, order.state) for order in ordered} == {
        (alice, 5, 5, "pending")
    }
    assert ordered.count() == len(taken)


def test_a_new_address_needs_the_password(as_alice: Client, alice: User) -> None:
    """Otherwise anyone at an open browser could take over the account by a password reset."""
    new = {"email": "new@example.org", "company": "", "phone": "", "language": "en"}
    for password in ({}, {"password": "not-it"}):
        page = as_alice.post("/console/settings/", new | password)
        assert page.status_code == 200
        assert "password" in page.context["form"].errors
    assert User.objects.get(pk=alice.pk).new_email == ""
    assert as_alice.post("/console/settings/", new | {"password": PASSWORD}).status_code == 302
    assert User.objects.get(pk=alice.pk).new_email == "new@example.org"
    same = new | {"email": alice.email, "company": "Ltd"}
    assert as_alice.post("/console/settings/", same).status_code == 302
    for _try in range(5):
        as_alice.post("/console/settings/", new | {"email": "other@example.org", "password": "not-it"})
    locked = as_alice.post("/console/settings/", new | {"email": "other@example.org", "password": PASSWORD})
    assert "password" in locked.context["form"].errors


def test_the_login_creates_a_new_session(client: Client, alice: User) -> None:
    client.get("/login/")
    session = client.session
    session["planted"] = "by a stranger"
    session.save()
    client.cookies["sessionid"] = session.session_key
    client.post("/login/", RIGHT)
    assert client.cookies["sessionid"].value != session.session_key
    stranger = Client()
    stranger.cookies["sessionid"] = session.session_key
    assert stranger.get("/console/").status_code == 302


def test_a_new_password_ends_the_other_sessions(as_alice: Client, alice: User) -> None:
    elsewhere = Client()
    elsewhere.post("/login/", RIGHT)
    new = {"old_password": PASSWORD, "new_password1": "xin-mi-ma-2027", "new_password2": "xin-mi-ma-2027"}
    as_alice.post("/console/settings/password/", new)
    assert as_alice.get("/console/").status_code == 200
    assert elsewhere.get("/console/").status_code == 302


def test_a_closed_account_is_logged_out_at_once(as_alice: Client, alice: User) -> None:
    alice.is_active = False
    alice.save()
    assert as_alice.get("/console/").status_code == 302
    assert Client().post("/login/", RIGHT).status_code == 200


def test_a_mailed_link_works_once(client: Client, alice: User) -> None:
    client.post("/password/reset/", {"email": alice.email})
    client.post("/password/reset/", {"email": alice.email})
    links = [re.search(r"/password/reset/\S+", str(sent.body)) for sent in mail.outbox]
    new = {"new_password1": "xin-mi-ma-2027", "new_password2": "xin-mi-ma-2027"}
    first, second = [link.group() for link in links if link]
    assert client.post(client.get(first, follow=True).request["PATH_INFO"], new).status_code == 302
    for used in (first, second):  # the link that was used, and the older one
        page = Client().get(used, follow=True)
        assert not page.context["validlink"], used


def test_mails_are_limited_and_the_page_reveals_nothing(client: Client, alice: User, bob: User) -> None:
    def ask(address: str, caller: str) -> str:
        reply = client.post("/password/reset/", {"email": address}, REMOTE_ADDR=caller)
        return str(reply["Location"])

    pages = {ask(alice.email, f"198.51.100.{number}") for number in range(throttle.MAILS_TO_ONE_ADDRESS)}
    pages |= {ask(alice.email.upper(), "203.0.113.9"), ask("nobody@example.org", "203.0.113.9")}
    assert len(mail.outbox) == throttle.MAILS_TO_ONE_ADDRESS
    for number in range(throttle.MAILS_BY_ONE_CALLER):
        pages.add(ask(f"stranger{number}@example.org", "203.0.113.7"))
    pages.add(ask(bob.email, "203.0.113.7"))
    assert len(mail.outbox) == throttle.MAILS_TO_ONE_ADDRESS
    assert pages == {"/password/reset/sent/"}
    ask(bob.email, "203.0.113.8")
    assert mail.outbox[-1].to == [bob.email]
    assert 0 < valkey.client().ttl(f"mail-to:{bob.email}") <= throttle.MAILS_WITHIN_S


@pytest.mark.django_db
def test_known_and_unknown_addresses_cost_the_same_work(
    client: Client, alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """The response time must not reveal whether somebody is a customer, so the mail task does the look-up."""
    celery_app.conf.task_always_eager = False
    waiting = valkey.client().llen("mail")
    for address in (alice.email, "nobody@example.org"):
        with django_assert_num_queries(0):
            assert client.post("/password/reset/", {"email": address}).status_code == 302
    assert valkey.client().llen("mail") == waiting + 2
    assert mail.outbox == []
    valkey.client().delete("mail")


@pytest.mark.django_db
def test_an_unavailable_broker_is_an_error_message(client: Client, alice: User, settings: Settings) -> None:
    here, settings.REDIS_URL = settings.REDIS_URL, "redis://127.0.0.1:1/0"
    valkey.client.cache_clear()
    try:
        reply = client.post("/password/reset/", {"email": alice.email})
    finally:
        settings.REDIS_URL = here
        valkey.client.cache_clear()
    assert reply.status_code == 503
    assert "服务暂时繁忙" in reply.content.decode()


@pytest.mark.django_db
def test_mails_use_the_configured_host_not_the_host_header(
    client: Client, alice: User, settings: Settings
) -> None:
    """Whichever of the allowed hosts a request names, the link begins with SITE_URL."""
    settings.ALLOWED_HOSTS = ["faces.example.org", "192.0.2.1"]
    settings.SITE_URL = "https://faces.example.org"
    asked = {"email": alice.email}
    for headers in ({"HTTP_HOST": "evil.example"}, {"HTTP_HOST": "faces.example.org@evil.example"}):
        assert client.post("/password/reset/", asked, **headers).status_code == 400
    for ours in ("faces.example.org", "192.0.2.1"):
        client.post("/password/reset/", asked, HTTP_HOST=ours, HTTP_X_FORWARDED_HOST="evil.example")
        sent = str(mail.outbox.pop().body)
        assert "https://faces.example.org/password/reset/" in sent
        assert "evil" not in sent
        assert "192.0.2.1" not in sent


def test_a_mail_without_a_server_is_a_file_of_its_owner(
    client: Client, alice: User, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The link can set the password, so no other user of the machine may read it, and it is not logged."""
    settings.EMAIL_BACKEND, settings.EMAIL_FILE_PATH = FOLDER_BACKEND, str(tmp_path / "mail")
    client.post("/password/reset/", {"email": alice.email})
    (file,) = (tmp_path / "mail").iterdir()
    assert "/password/reset/" in file.read_text()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    settings.EMAIL_BACKEND = LOG_BACKEND
    client.post("/password/reset/", {"email": alice.email})
    assert "mail not sent" in caplog.text
    assert "/password/reset/" not in caplog.text


NEW = {"new_password1": "xin-mi-ma-2027", "new_password2": "xin-mi-ma-2027"}


def test_wrong_current_passwords_are_counted_like_wrong_logins(as_alice: Client, alice: User) -> None:
    for _attempt in range(5):
        as_alice.post("/console/settings/password/", {**NEW, "old_password": "not-it"})
    as_alice.post("/console/settings/password/", {**NEW, "old_password": PASSWORD})
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


def test_nothing_that_was_sent_with_a_wrong_password_is_stored(as_alice: Client, alice: User) -> None:
    """The form of a new password is not stored, and neither is the query of a login."""
    as_alice.post("/console/settings/password/", {**NEW, "old_password": "almost-right"})
    Client().post("/login/?next=/console/", {"username": "alice", "password": "not-it"})
    attempt = AccessAttempt.objects.get()
    assert attempt.failures_since_start == 2
    assert (attempt.get_data, attempt.post_data) == ("", "")


@pytest.mark.parametrize("act", ["show", "rotate"])
def test_another_name_in_the_form_does_not_move_the_count(
    as_alice: Client, alice: User, app: App, act: str
) -> None:
    """Wrong passwords of a logged-in user are counted under the account, whatever else the form contains."""
    page = f"/console/apps/{app.app_id}/keys/"
    form = {"act": act, "key": app.keys.get().key, "overlap": "0", "password": "not-it"}
    found = [as_alice.post(page, {**form, "username": f"{number}@x"}) for number in range(5)]
    assert [reply.status_code for reply in found] == [422, 422, 422, 422, 429]
    assert AccessAttempt.objects.get().username == "alice"


def test_spellings_of_one_address_count_as_one_name(client: Client, alice: User) -> None:
    address = "alice@example.org"
    spellings = [address, f" {address}", f"{address} ", address.replace("@", "\uff20"), "ALICE@example.org"]
    found = [client.post("/login/", {"username": name, "password": "not-it"}) for name in spellings]
    assert [reply.status_code for reply in found] == [200, 200, 200, 200, 429]
    assert AccessAttempt.objects.get().username == address


def test_a_password_that_was_reset_meanwhile_is_not_changed(
    as_alice: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner resets the password after somebody else's form was verified with the old one."""

    def meanwhile(*args: object, **credentials: str) -> object:
        found = authenticate(*args, **credentials)
        User.objects.filter(pk=alice.pk).update(password=make_password("chong-she-2027"))
        return found

    monkeypatch.setattr("console.forms.authenticate", meanwhile)
    reply = as_alice.post("/console/settings/password/", {**NEW, "old_password": PASSWORD})
    assert reply.context["form"].errors["old_password"]
    alice.refresh_from_db()
    assert alice.check_password("chong-she-2027")


@pytest.mark.parametrize("address", ["alice@example.org", "nobody@example.org"])
def test_the_lock_does_not_reveal_whose_address_it_is(client: Client, alice: User, address: str) -> None:
    names = ["alice", address, address.upper(), address, address.upper(), address]
    found = [client.post("/login/", {"username": name, "password": "not-it"}).status_code for name in names]
    assert found == [200, 200, 200, 200, 200, 429]


def test_operators_change_their_password_in_the_console(client: Client, db: None) -> None:
    client.force_login(User.objects.create_superuser("olga", "olga@example.org", PASSWORD))
    assert client.get("/admin/password_change/")["Location"] == "/console/settings/password/"


def test_clients_behind_a_proxy_are_limited_separately(
    client: Client, alice: User, settings: Settings
) -> None:
    """A stranger who guesses passwords is locked out, and Alice is not."""
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    stranger = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "198.51.100.7"}
    home = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.9"}
    assert [client.post("/login/", WRONG, **stranger).status_code for _try in range(5)][-1] == 429
    assert client.post("/login/", RIGHT, **stranger).status_code == 429
    assert client.post("/login/", RIGHT, **home).status_code == 302


def test_a_forged_forwarded_address_does_not_reset_the_limit(
    client: Client, alice: User, settings: Settings
) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    made_up = [
        {"REMOTE_ADDR": "198.51.100.7", "HTTP_X_FORWARDED_FOR": f"203.0.113.{number}"} for number in range(5)
    ]
    assert [client.post("/login/", WRONG, **caller).status_code for caller in made_up][-1] == 429


def test_an_ipv6_network_counts_as_one_client(client: Client, alice: User) -> None:
    neighbours = [f"2001:db8:1:2::{number:x}" for number in range(1, 6)]
    replies = [client.post("/login/", WRONG, REMOTE_ADDR=address).status_code for address in neighbours]
    assert replies[-1] == 429
    assert client.post("/login/", RIGHT, REMOTE_ADDR="2001:db8:1:3::1").status_code == 302


@pytest.mark.django_db
def test_an_overlong_user_name_is_rejected(client: Client) -> None:
    reply = client.post("/login/", {"username": "a" * 100_000, "password": "x"})
    assert reply.status_code == 200
    assert "用户名或密码不正确" in reply.content.decode()


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "Infinity", ""],
)
def test_back_links_stay_on_this_site(client: Client, as_alice: Client, target: str) -> None:
    assert client.post("/register/", MALLORY | {"next": target})["Location"] == "/console/"
    for path, data in (("/language/", {"language": "en"}), ("/theme/", {"theme": "dark"})):
        assert as_alice.post(path, data | {"next": target})["Location"] == "/"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/console/orders/", "q"),
        ("/console/orders/new/", "app"),
        ("/console/orders/quote/", "region"),
        ("/console/orders/confirm/", "name"),
        ("/login/", "username"),
    ],
)
def test_nul_characters_are_rejected(as_alice: Client, path: str, field: str) -> None:
    assert as_alice.get(path, {field: "a\0b"}).status_code == 400
    assert as_alice.post(path, {field: "a\0b"}).status_code == 400


def test_overlong_numbers_are_not_ids(as_alice: Client, alice: User) -> None:
    assert as_alice.post("/console/inbox/", {"act": "read", "id": "9" * 5000}).status_code == 302


def test_another_customers_voucher_is_unreachable(
    as_bob: Client, alice: User, app: App, place: Place
) -> None:
    """Bob knows the code of a voucher that Alice holds, and cannot redeem it."""
    operator = User.objects.create_superuser("olga", "olga@example.org", PASSWORD)
    now = timezone.now()
    voucher = vouchers.issue(
        face_value=wallet.validate_amount(wallet.LARGEST), valid_from=now,
        valid_until=now + timedelta(days=1), by=operator, reason="gift", at=now, customer=alice,
    )  # fmt: skip
    assert as_bob.post("/console/wallet/", {"code": voucher.code}).status_code == 422
    voucher.refresh_from_db()
    assert voucher.customer == alice
