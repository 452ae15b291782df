"""Migrations keep the addresses, names and logins of existing accounts."""

import importlib

import pytest
from django.apps import apps
from django.db import connection

from accounts.models import User
from accounts.users import addresses

migration = importlib.import_module("accounts.migrations.0007_existing_accounts")


@pytest.mark.django_db
def test_existing_accounts_are_verified_and_the_older_name_keeps_the_skeleton() -> None:
    User.objects.bulk_create(
        [
            User(username="operator", email="o@example.org"),
            User(username="0perator", email="zero@example.org"),
            User(username="оператор", email="cyrillic@example.org"),
            User(username="nobody", email=""),
        ]
    )
    with connection.schema_editor() as editor:
        migration.accept(apps, editor)
        migration.accept(apps, editor)  # a second run changes nothing
    rows = {user.username: user for user in User.objects.all()}
    owner = addresses.owner_of("O@example.org")
    assert owner == rows["operator"]
    assert rows["operator"].email_verified_at == rows["operator"].date_joined
    assert rows["nobody"].email_verified_at is None
    assert [rows[name].name_skeleton is None for name in ("operator", "0perator", "оператор")] == [
        False,
        True,
        False,
    ]


@pytest.mark.django_db
def test_the_version_before_can_still_insert() -> None:
    """During an upgrade the old code, which does not know the new columns, runs on the new tables."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_user (password, is_superuser, username, first_name, last_name, is_staff,"
            " is_active, date_joined, email, company, phone, language)"
            " VALUES ('!', false, 'old', '', '', false, true, now(), 'old@example.org', '', '', 'zh-hans')"
        )
    assert User.objects.get(username="old").new_email == ""
