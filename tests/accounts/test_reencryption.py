"""`manage.py reencrypt_secrets` encrypts the stored secrets with the newest key."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from accounts import keys
from accounts.applications import create_app
from accounts.models import App, AppKey, Region, User

NOW = timezone.now()
Told = pytest.CaptureFixture[str]
Execute = Callable[..., Any]


@pytest.fixture
def app(db: None) -> App:
    """Return an App with three keys, one of them disabled."""
    alice = User.objects.create_user("alice", "alice@example.org")
    region = Region.objects.get(code="cn-sh6")
    app = create_app(customer=alice, region=region, name="门禁", description="大楼", at=NOW)
    keys.disable(app.keys.get(), NOW)
    keys.issue(app, NOW)
    keys.rotate(app, NOW, timedelta(days=1))
    return app


def secrets() -> dict[str, str]:
    return {key.key: keys.secret_of(key) for key in AppKey.objects.all()}


def add_key(settings: Settings) -> None:
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.ENCRYPTION_KEYS]


def test_the_old_encryption_key_can_be_removed_afterwards(app: App, settings: Settings, capsys: Told) -> None:
    before = secrets()
    add_key(settings)
    call_command("reencrypt_secrets")
    assert capsys.readouterr().out == "3 re-encrypted, 0 already under the newest key\n"
    del settings.ENCRYPTION_KEYS[1:]
    assert secrets() == before


def test_a_second_run_writes_nothing(app: App, settings: Settings, capsys: Told) -> None:
    add_key(settings)
    call_command("reencrypt_secrets")
    newer = keys.issue(app, NOW)
    stored = list(AppKey.objects.values_list("pk", "secret_encrypted"))
    call_command("reencrypt_secrets")
    assert capsys.readouterr().out.splitlines()[-1] == "0 re-encrypted, 4 already under the newest key"
    assert list(AppKey.objects.values_list("pk", "secret_encrypted")) == stored
    assert newer.secret_encrypted in dict(stored).values()


def test_an_undecryptable_secret_is_reported_and_kept(app: App, settings: Settings, capsys: Told) -> None:
    lost = keys.issue(app, NOW)
    forgotten = Fernet(Fernet.generate_key()).encrypt(b"0" * 32).decode()
    AppKey.objects.filter(pk=lost.pk).update(secret_encrypted=forgotten)
    add_key(settings)
    with pytest.raises(SystemExit) as ended:
        call_command("reencrypt_secrets")
    assert ended.value.code == 1
    told = capsys.readouterr()
    assert told.out == "3 re-encrypted, 0 already under the newest key\n"
    assert told.err.startswith("1 match no key")
    assert AppKey.objects.get(pk=lost.pk).secret_encrypted == forgotten


def test_a_concurrently_changed_secret_is_not_overwritten(app: App, settings: Settings) -> None:
    add_key(settings)
    changed = app.keys.latest("pk")
    other = keys.cipher().encrypt(b"1" * 32).decode()

    def change_first(execute: Execute, sql: str, *rest: Any) -> Any:
        if sql.startswith("UPDATE"):
            with connection.cursor() as cursor:
                table = AppKey._meta.db_table
                cursor.cursor.execute(
                    f"UPDATE {table} SET secret_encrypted = %s WHERE id = %s", [other, changed.pk]
                )
        return execute(sql, *rest)

    with connection.execute_wrapper(change_first):
        done = keys.reencrypt()
    assert done.renewed == 2
    assert AppKey.objects.get(pk=changed.pk).secret_encrypted == other
