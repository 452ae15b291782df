"""Ownership of e-mail addresses: verified by a mailed link; no page reveals whether one is registered."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from django.core import mail
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts import keys
from accounts.errors import RuleError
from accounts.models import App, User
from accounts.users import addresses
from console.middleware import throttle
from tests.console.conftest import PASSWORD
from tests.together import at_once

FORM = {"username": "mallory", "email": "new@example.org", "password1": PASSWORD, "password2": PASSWORD}
SETTINGS = {"company": "", "phone": "", "language": "zh-hans", "password": PASSWORD}


@pytest.fixture
def sent(django_capture_on_commit_callbacks: Callable[..., object]) -> Callable[..., list[mail.EmailMessage]]:
    """Post a form; return the mails that it caused."""

    def post(client: Client, path: str, form: dict[str, str], status: int = 302) -> list[mail.EmailMessage]:
        mail.outbox.clear()
        with django_capture_on_commit_callbacks(execute=True):  # type: ignore[attr-defined]  # a context manager
            assert client.post(path, form).status_code == status
        return list(mail.outbox)

    return post


def token_in(message: mail.EmailMessage) -> str:
    found = re.search(r"/console/email/\?token=(\S+)", str(message.body))
    assert found
    return found[1]


def test_a_registration_is_verified_by_its_link(client: Client, db: None, sent) -> None:
    (link,) = sent(client, "/register/", FORM)
    assert link.to == ["new@example.org"]
    user = User.objects.get(username="mallory")
    assert user.email_verified_at is None
    assert "尚未验证" in client.get("/console/").content.decode()
    page = client.get(f"/console/email/?token={token_in(link)}")
    assert page.status_code == 200  # mail scanners open links, so opening one must not verify the address
    assert User.objects.get(pk=user.pk).email_verified_at is None
    assert client.post("/console/email/", {"token": token_in(link)}).status_code == 302
    assert User.objects.get(pk=user.pk).email_verified_at is not None
    assert "尚未验证" not in client.get("/console/").content.decode()
    login = {"username": "new@example.org", "password": PASSWORD}
    assert Client().post("/login/", login).status_code == 302


def test_a_link_is_for_one_account_and_three_days(client: Client, as_bob: Client, db: None, sent) -> None:
    (link,) = sent(client, "/register/", FORM)
    token = token_in(link)
    assert as_bob.post("/console/email/", {"token": token}).status_code == 410
    assert client.post("/console/email/", {"token": token + "x"}).status_code == 410
    assert Client().post("/console/email/", {"token": token}).status_code == 302  # to the login
    with time_machine.travel(timezone.now() + timedelta(days=3, minutes=1)):
        client.force_login(User.objects.get(username="mallory"))
        page = client.post("/console/email/", {"token": token})
    assert page.status_code == 410
    assert "链接已过期" in page.content.decode()
    assert not User.objects.get(username="mallory").email_verified_at


def test_registration_does_not_reveal_whether_an_address_is_known(alice: User, sent) -> None:
    """The reply and all later pages are the same; only the mailbox is informed."""
    strangers = {"free": Client(), "alice": Client()}
    mails = {
        name: sent(
            client, "/register/", FORM | {"username": f"mallory-{name}", "email": f"{name}@example.org"}
        )
        for name, client in strangers.items()
    }
    assert "token=" in str(mails["free"][0].body)
    (told,) = mails["alice"]
    assert told.to == ["alice@example.org"]
    assert "token=" not in str(told.body)
    assert "您已有账号，用户名是 alice" in str(told.body)
    for path in ("/console/", "/console/settings/", "/console/inbox/"):
        pages = {
            name: re.sub(
                r"csrf\S+\" value=\"\S+\"|mallory-\w+|\w+@example.org", "", client.get(path).content.decode()
            )
            for name, client in strangers.items()
        }
        assert pages["free"] == pages["alice"], path
    for name in strangers:  # an unverified address cannot log in, whoever it belongs to
        login = {"username": f"{name}@example.org", "password": PASSWORD + "x"}
        assert Client().post("/login/", login).status_code == 200
    for name, client in strangers.items():
        again = sent(client, "/console/email/resend/", {})
        assert [message.to for message in again] == [[f"{name}@example.org"]]
    assert User.objects.get(email="alice@example.org", email_verified_at__isnull=False) == alice


def test_an_unverified_address_cannot_log_in_even_with_its_own_password(client: Client, alice: User) -> None:
    """Otherwise the login would reveal whether the address belongs to somebody else."""
    new = "xin-mi-ma-2027"
    for name in ("free", "alice"):
        address = f"{name}@example.org"
        form = FORM | {"username": f"m-{name}", "email": address, "password1": new, "password2": new}
        assert Client().post("/register/", form).status_code == 302
        assert client.post("/login/", {"username": address, "password": new}).status_code == 200, name
        assert Client().post("/login/", {"username": f"m-{name}", "password": new}).status_code == 302


def test_a_new_address_takes_effect_once_it_is_verified(
    as_alice: Client, alice: User, sent, settings: Settings
) -> None:
    settings.SUPPORT_CONTACT = "400-000-0000"
    mails = sent(as_alice, "/console/settings/", SETTINGS | {"email": "alice@new.example"})
    told, link = sorted(mails, key=lambda message: message.to)
    assert (told.to, link.to) == (["alice@example.org"], ["alice@new.example"])
    assert "申请更换邮箱" in str(told.body)
    alice.refresh_from_db()
    assert (alice.email, alice.new_email) == ("alice@example.org", "alice@new.example")
    assert "alice@new.example 尚未验证" in as_alice.get("/console/settings/").content.decode()
    (told,) = sent(as_alice, "/console/email/", {"token": token_in(link)})
    assert told.to == ["alice@example.org"]  # the old address
    assert "/password/reset/" not in told.body  # whose link would no longer be sent to it
    assert "立即联系管理员" in str(told.body)
    assert str(told.body).rstrip().endswith("联系方式：400-000-0000。")
    alice.refresh_from_db()
    assert (alice.email, alice.new_email) == ("alice@new.example", "")


def test_an_address_changed_by_a_stale_request_is_not_verified(alice: User) -> None:
    """The settings were sent before, and are stored after, the link of the first address was opened."""
    alice.email_verified_at = None
    alice.save()
    read_before = User.objects.get(pk=alice.pk)
    addresses.mark_verified(alice, "alice@example.org", timezone.now())
    addresses.change(read_before, "victim@example.org")
    alice.refresh_from_db()
    assert (alice.email, alice.new_email) == ("alice@example.org", "victim@example.org")


def test_an_address_change_does_not_reveal_whether_it_is_known(
    as_alice: Client, alice: User, bob: User, sent
) -> None:
    answers = []
    for address in ("free@example.org", bob.email):
        mails = sent(as_alice, "/console/settings/", SETTINGS | {"email": address})
        answers.append(as_alice.get("/console/settings/").content.decode().replace(address, ""))
        assert sorted(message.to for message in mails) == sorted([["alice@example.org"], [address]])
        alice.refresh_from_db()
        assert alice.email == "alice@example.org"
    strip = re.compile(r"csrf\S+\" value=\"\S+\"")
    assert strip.sub("", answers[0]) == strip.sub("", answers[1])


def test_an_address_goes_to_the_account_that_verifies_it_first(client: Client, db: None, sent) -> None:
    other = Client()
    (first,) = sent(client, "/register/", FORM)
    (second,) = sent(other, "/register/", FORM | {"username": "trudy"})
    assert client.post("/console/email/", {"token": token_in(first)}).status_code == 302
    page = other.post("/console/email/", {"token": token_in(second)})
    assert page.status_code == 410
    assert "另一个账号已验证了这个邮箱" in page.content.decode()


@pytest.mark.race
@pytest.mark.django_db(transaction=True)
def test_concurrent_verifications_give_the_address_to_one_account() -> None:
    users = [User.objects.create_user(f"user-{n}", "same@example.org", PASSWORD) for n in range(6)]
    now = timezone.now()

    def verify(user: User) -> str:
        return addresses.confirm(user, addresses.token(user, user.email), now)

    results = at_once(*(lambda user=user: verify(user) for user in users))
    assert results.count("") == 1
    assert sum(isinstance(one, RuleError) and one.code == "address_owned" for one in results) == 5
    assert User.objects.filter(email_verified_at=now).count() == 1


def test_a_password_change_is_notified(as_alice: Client, alice: User, sent) -> None:
    new = {"old_password": PASSWORD, "new_password1": "xin-mi-ma-2027", "new_password2": "xin-mi-ma-2027"}
    (told,) = sent(as_alice, "/console/settings/password/", new)
    assert (told.to, told.subject) == (["alice@example.org"], "您的密码已修改")
    assert "请立即重设密码：http" in str(told.body)
    assert "/password/reset/\n" in str(told.body)


def test_a_reset_link_verifies_the_address(client: Client, db: None, sent) -> None:
    sent(client, "/register/", FORM)
    (link,) = sent(Client(), "/password/reset/", {"email": "NEW@example.org"})
    found = re.search(r"/password/reset/\S+", str(link.body))
    assert found
    visitor = Client()
    page = visitor.get(found.group(), follow=True)
    new = {"new_password1": "xin-mi-ma-2027", "new_password2": "xin-mi-ma-2027"}
    (told,) = sent(visitor, page.request["PATH_INFO"], new)
    assert told.to == ["new@example.org"]
    assert User.objects.get(username="mallory").email_verified_at


def test_a_reset_link_goes_to_the_owner_of_the_address(alice: User, sent) -> None:
    """Whoever registered with it later gets no link, and no second mail goes out."""
    User.objects.create_user("mallory", alice.email, PASSWORD)
    (link,) = sent(Client(), "/password/reset/", {"email": alice.email})
    assert str(link.body).startswith("alice，您好")


NEW = {"new_password1": "xin-mi-ma-2027", "new_password2": "xin-mi-ma-2027"}


def reset_links(message: mail.EmailMessage) -> dict[str, str]:
    """Return the links of a mail that lists several accounts, by user name."""
    return dict(re.findall(r"^(\S+)\nhttp://[^/]+(/password/reset/\S+)$", str(message.body), re.M))


def test_each_account_that_entered_an_unverified_address_gets_a_link(client: Client, db: None, sent) -> None:
    """Only the reader of the mailbox knows which account is genuine."""
    for name, address in (("mallory", "victim@example.org"), ("victim", "victim@example.org")):
        assert Client().post("/register/", FORM | {"username": name, "email": address}).status_code == 302
    User.objects.create_user("closed", "victim@example.org", PASSWORD, is_active=False)
    (message,) = sent(client, "/password/reset/", {"email": "victim@example.org"})
    links = reset_links(message)
    assert set(links) == {"mallory", "victim"}
    page = client.get(links["victim"], follow=True)
    assert "请为您的账号 victim 设置新密码" in page.content.decode()
    assert client.post(page.request["PATH_INFO"], NEW).status_code == 302
    (message,) = sent(client, "/password/reset/", {"email": "victim@example.org"})
    assert str(message.body).startswith("victim，您好")  # which owns the address now
    assert "mallory" not in str(message.body)


def test_a_mail_goes_to_the_spelling_that_the_account_entered(client: Client, db: None, sent) -> None:
    for name, address in (("one", "Same@example.org"), ("two", "same@example.org")):
        User.objects.create_user(name, address, PASSWORD)
    messages = sent(client, "/password/reset/", {"email": "SAME@example.org"})
    assert {(*message.to, str(message.body).split("，")[0]) for message in messages} == {
        ("Same@example.org", "one"),
        ("same@example.org", "two"),
    }


def reset(visitor: Client, user: User, sent) -> str:
    """Reset the password of the user by mail; return both pages, before and after."""
    (message,) = sent(visitor, "/password/reset/", {"email": user.email})
    found = re.search(r"/password/reset/\S+", str(message.body))
    assert found
    page = visitor.get(found.group(), follow=True)
    done = visitor.post(page.request["PATH_INFO"], NEW, follow=True)
    return page.content.decode() + done.content.decode()


def test_a_reset_that_verifies_the_address_disables_the_keys_of_a_stranger(
    app: App, alice: User, sent
) -> None:
    User.objects.filter(pk=alice.pk).update(email_verified_at=None)
    kept_by_mallory = app.keys.get()
    pages = reset(Client(), alice, sent)
    assert "保存后全部停用" in pages
    assert "原有的 1 个密钥已停用" in pages
    assert keys.live_key(kept_by_mallory.key, timezone.now()) is None
    alice.refresh_from_db()
    assert alice.email_verified_at


def test_a_reset_of_the_owner_of_an_address_keeps_the_keys(app: App, alice: User, sent) -> None:
    pages = reset(Client(), alice, sent)
    assert "停用" not in pages
    assert keys.live_key(app.keys.get().key, timezone.now())


def test_a_closed_account_gets_no_link_and_cannot_use_one(client: Client, alice: User, sent) -> None:
    (message,) = sent(client, "/password/reset/", {"email": alice.email})
    found = re.search(r"/password/reset/\S+", str(message.body))
    assert found
    User.objects.filter(pk=alice.pk).update(is_active=False)
    User.objects.create_user("mallory", alice.email, PASSWORD)
    assert sent(client, "/password/reset/", {"email": alice.email}) == []
    assert not Client().get(found.group(), follow=True).context["validlink"]


def test_verification_mails_are_limited(as_alice: Client, alice: User, sent) -> None:
    User.objects.filter(pk=alice.pk).update(email_verified_at=None)
    count = [
        len(sent(as_alice, "/console/email/resend/", {})) for _ in range(throttle.MAILS_TO_ONE_ADDRESS + 2)
    ]
    assert count == [1] * throttle.MAILS_TO_ONE_ADDRESS + [0, 0]
    assert "一小时后再试" in as_alice.get("/console/settings/").content.decode()
    before = throttle.MAILS_TO_ONE_ADDRESS
    assert before < throttle.MAILS_BY_ONE_CALLER
    reply = as_alice.post("/console/settings/", SETTINGS | {"email": alice.email.upper()})
    assert "一小时后再试" in reply.content.decode()


LONG_LABEL = "a@" + "ä" * 60 + ".example"  # 60 characters, but more than 63 once encoded


@pytest.mark.parametrize("address", [LONG_LABEL, "ä@example.org", "a@" + "b" * 64 + ".example"])
def test_an_unmailable_address_is_rejected(
    client: Client, as_alice: Client, alice: User, address: str
) -> None:
    page = client.post("/register/", FORM | {"email": address})
    assert page.status_code == 200
    assert page.context["form"].errors["email"]
    assert not User.objects.filter(username="mallory").exists()
    page = as_alice.post("/console/settings/", SETTINGS | {"email": address})
    assert page.context["form"].errors["email"]
    alice.refresh_from_db()
    assert (alice.email, alice.new_email) == ("alice@example.org", "")


@pytest.mark.parametrize(
    "address", ["a@bücher.example", "first.last+tag@example.org", "a@xn--bcher-kva.example"]
)
def test_mailable_addresses_are_accepted(address: str) -> None:
    assert addresses.is_mailable(address)
