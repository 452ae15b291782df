"""What customers do to their own accounts is in the audit log, without secrets or addresses of mailboxes."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from axes.models import AccessFailureLog
from django.core import mail
from django.test import Client

from accounts.keys import secret_of
from accounts.models import App, AuditEntry, User
from accounts.users import addresses
from tests.console.conftest import PASSWORD

HERE = "203.0.113.5"
NEW = {"new_password1": "xin-mi-ma-2027", "new_password2": "xin-mi-ma-2027"}
Written = Callable[..., list[AuditEntry]]


@pytest.fixture
def written(django_capture_on_commit_callbacks: Any) -> Written:
    """Post a form from HERE; return the entries that it caused. Mails are sent."""

    def post(client: Client, path: str, form: dict[str, str]) -> list[AuditEntry]:
        last = AuditEntry.objects.order_by("pk").last()
        with django_capture_on_commit_callbacks(execute=True):
            client.post(path, form, REMOTE_ADDR=HERE)
        return list(AuditEntry.objects.filter(pk__gt=last.pk if last else 0).order_by("pk"))

    return post


def about(entry: AuditEntry) -> tuple[str, str, str | None]:
    assert entry.by_id == entry.customer_id
    return entry.act, entry.subject_id, entry.address


def test_a_secret_that_is_shown_is_recorded_and_the_owner_is_notified(
    as_alice: Client, app: App, written: Written
) -> None:
    key, path = app.keys.get(), f"/console/apps/{app.app_id}/keys/"
    assert written(as_alice, path, {"act": "show", "key": key.key, "password": "not-it"}) == []
    (entry,) = written(as_alice, path, {"act": "show", "key": key.key, "password": PASSWORD})
    assert about(entry) == ("own-key-show", str(key.pk), HERE)
    assert entry.details == {"key": key.key, "app": app.app_id}
    (message,) = mail.outbox
    assert (message.to, message.subject) == (["alice@example.org"], "您的 SecretKey 刚刚被查看")
    assert secret_of(key) not in str(message.body)


def test_keys_that_are_rotated_or_disabled_are_recorded(as_alice: Client, app: App, written: Written) -> None:
    old, path = app.keys.get(), f"/console/apps/{app.app_id}/keys/"
    (entry,) = written(as_alice, path, {"act": "rotate", "overlap": "3600", "password": PASSWORD})
    new = app.keys.exclude(pk=old.pk).get()
    assert about(entry) == ("own-key-rotate", str(new.pk), HERE)
    assert [message.subject for message in mail.outbox] == ["您的密钥刚刚被更换"]
    (entry,) = written(as_alice, path, {"act": "disable", "key": old.key, "password": PASSWORD})
    assert about(entry) == ("own-key-disable", str(old.pk), HERE)
    assert written(as_alice, path, {"act": "disable", "key": old.key, "password": PASSWORD}) == []


def test_a_change_of_the_allowed_addresses_is_recorded(as_alice: Client, app: App, written: Written) -> None:
    form = {"act": "addresses", "addresses": "192.0.2.0/24"}
    (entry,) = written(as_alice, f"/console/apps/{app.app_id}/", form)
    assert about(entry) == ("own-addresses", str(app.pk), HERE)
    assert entry.details["after"] == {"allowed_addresses": ["192.0.2.0/24"]}
    assert written(as_alice, f"/console/apps/{app.app_id}/", form) == []


def test_a_password_that_is_changed_or_reset_is_recorded(
    as_alice: Client, alice: User, written: Written
) -> None:
    form = {"old_password": PASSWORD, **NEW}
    (entry,) = written(as_alice, "/console/settings/password/", form)
    assert about(entry) == ("own-password", str(alice.pk), HERE)
    mail.outbox.clear()
    assert written(Client(), "/password/reset/", {"email": alice.email}) == []
    found = re.search(r"/password/reset/\S+", str(mail.outbox[0].body))
    assert found
    visitor = Client()
    page = visitor.get(found.group(), follow=True)
    (entry,) = written(visitor, page.request["PATH_INFO"], NEW)
    assert about(entry) == ("own-password-reset", str(alice.pk), HERE)


def test_a_change_of_address_is_recorded_without_the_address(
    as_alice: Client, alice: User, written: Written
) -> None:
    form = {"email": "alice@new.example", "company": "", "phone": "", "language": "en", "password": PASSWORD}
    (entry,) = written(as_alice, "/console/settings/", form)
    assert (*about(entry), entry.details) == ("own-email-ask", str(alice.pk), HERE, {})
    token = addresses.token(alice, "alice@new.example")
    (entry,) = written(as_alice, "/console/email/", {"token": token})
    assert (*about(entry), entry.details) == ("own-email", str(alice.pk), HERE, {})


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_operators_read_the_entries(as_alice: Client, app: App, written: Written, language: str) -> None:
    key = app.keys.get()
    written(
        as_alice, f"/console/apps/{app.app_id}/keys/", {"act": "show", "key": key.key, "password": PASSWORD}
    )
    admin = Client()
    admin.force_login(User.objects.create_superuser("root", "root@example.org"))
    admin.cookies["django_language"] = language
    page = admin.get("/admin/accounts/auditentry/").content.decode()
    label = {"zh-hans": "本人查看 SecretKey", "en": "Own SecretKey shown"}[language]
    assert label in page
    assert (
        key.key
        in admin.get(f"/admin/accounts/auditentry/{AuditEntry.objects.get().pk}/change/").content.decode()
    )
    assert label not in admin.get("/ops/desk/?q=alice").content.decode()


def test_failed_logins_are_recorded_without_the_password(client: Client, alice: User) -> None:
    client.post("/login/", {"username": "alice", "password": "not-it"}, REMOTE_ADDR=HERE)
    client.post(
        "/login/", {"username": "alice", "password": PASSWORD}, REMOTE_ADDR=HERE
    )  # deletes the counts
    failed = AccessFailureLog.objects.get()
    assert (failed.username, failed.ip_address) == ("alice", HERE)
    assert "not-it" not in str(vars(failed))
