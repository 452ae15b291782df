"""AppKeys and SecretKeys: format, encryption at rest, states, rotation."""

import re
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet, InvalidToken
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils import timezone

from accounts import keys
from accounts.applications import create_app, rename
from accounts.errors import RuleError
from accounts.models import App, AppKey, Region, User

NOW = timezone.now()
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def app(db: None) -> App:
    alice = User.objects.create_user("alice", "alice@example.org")
    return create_app(
        customer=alice, region=Region.objects.get(code="cn-sh6"), name=" 门禁 ", description="大楼", at=NOW
    )


def test_an_app_starts_with_one_live_key(app: App) -> None:
    (key,) = app.keys.all()
    assert re.fullmatch("[0-9a-f]{16}", key.key)
    assert re.fullmatch("[0-9a-f]{32}", keys.secret_of(key))
    assert keys.live_key(key.key, NOW) == key
    assert app.name == "门禁"
    assert re.fullmatch("app-[a-z0-9]{10}", app.app_id)


def test_the_secret_is_stored_encrypted(app: App) -> None:
    key = app.keys.get()
    assert keys.secret_of(key) not in key.secret_encrypted


def test_the_encryption_key_can_be_rotated(app: App, settings) -> None:
    key = app.keys.get()
    secret = keys.secret_of(key)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.ENCRYPTION_KEYS]
    assert keys.secret_of(key) == secret
    settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS[:1]
    with pytest.raises(InvalidToken):
        keys.secret_of(key)


def test_live_key_is_one_query(app: App, django_assert_num_queries) -> None:
    text = app.keys.get().key
    with django_assert_num_queries(1):
        key = keys.live_key(text, NOW)
        assert key is not None
        assert key.app.customer.username == "alice"
        assert key.app.region.name == "上海6"


def test_a_disabled_key_is_rejected_at_once_and_forever(app: App) -> None:
    key = app.keys.get()
    keys.disable(key, NOW)
    assert keys.live_key(key.key, NOW) is None
    with pytest.raises(RuleError) as refused:
        keys.disable(key, LATER)
    assert refused.value.code == "key_not_live"


def test_both_keys_are_valid_during_the_overlap_of_a_rotation(app: App) -> None:
    old = app.keys.get()
    new = keys.rotate(app, NOW, timedelta(minutes=30))
    assert keys.live_key(old.key, NOW + timedelta(minutes=29)) == old
    assert keys.live_key(old.key, NOW + timedelta(minutes=30)) is None
    assert keys.live_key(new.key, LATER) == new


def test_a_rotation_never_prolongs_a_key(app: App) -> None:
    first = app.keys.get()
    keys.rotate(app, NOW, timedelta(minutes=5))
    keys.rotate(app, NOW, timedelta(hours=5))
    first.refresh_from_db()
    assert first.expires_at == NOW + timedelta(minutes=5)


def test_keys_of_a_closed_account_are_rejected(app: App) -> None:
    User.objects.filter(pk=app.customer_id).update(is_active=False)
    assert keys.live_key(app.keys.get().key, NOW) is None


def test_a_disabled_key_stays_disabled_after_its_account_reopens(app: App) -> None:
    key = app.keys.get()
    User.objects.filter(pk=app.customer_id).update(is_active=False)
    keys.disable(key, NOW)
    User.objects.filter(pk=app.customer_id).update(is_active=True)
    assert keys.live_key(key.key, LATER) is None


def test_last_use_is_recorded_once_a_minute(app: App) -> None:
    key = app.keys.get()
    keys.touch(key, NOW)
    keys.touch(AppKey.objects.get(pk=key.pk), NOW + timedelta(seconds=59))
    key.refresh_from_db()
    assert key.last_used_at == NOW
    keys.touch(key, NOW + timedelta(seconds=60))
    key.refresh_from_db()
    assert key.last_used_at == NOW + timedelta(seconds=60)


def test_the_database_validates_the_format_of_a_key(app: App) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        AppKey.objects.create(app=app, key="0123456789ABCDEF", secret_encrypted="x", created_at=NOW)


def test_rename_is_all_or_nothing(app: App) -> None:
    with pytest.raises(RuleError):
        rename(app, name="新名", description="#")
    app.refresh_from_db()
    assert (app.name, app.description) == ("门禁", "大楼")
    rename(app, name=" 新名", description="新描述 ")
    app.refresh_from_db()
    assert (app.name, app.description) == ("新名", "新描述")


def test_a_verified_address_is_unique_whatever_its_case(app: App) -> None:
    now = timezone.now()
    User.objects.filter(pk=app.customer_id).update(email_verified_at=now)
    mallory = User.objects.create_user("mallory", "ALICE@example.org")  # unverified, so not unique
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=mallory.pk).update(email_verified_at=now)


def test_a_customer_with_an_app_cannot_be_deleted(app: App) -> None:
    with pytest.raises(ProtectedError):
        app.customer.delete()
