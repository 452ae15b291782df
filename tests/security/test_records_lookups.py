"""What an operator may look up in /admin: the declared filters, and never a hash or a key."""

from typing import Any

import pytest
from django.contrib import admin
from django.db import connection, models
from django.http import HttpRequest
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import AppKey, User
from operations.records.base import SECRETS, RecordAdmin, parameters_of
from tests.operations.conftest import Login, World

pytestmark = pytest.mark.django_db

TABLES = list(admin.site._registry.items())
# Names that a table of another package or of a later version may use for a secret.
SUSPICIOUS = ("password", "secret", "encrypted", "token", "post_data", "get_data", "session_data", "hash")
NO_SECRETS = {"axes.accesslog.session_hash"}  # a digest that no page shows and nothing accepts


def address(model: type[models.Model]) -> str:
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/"


def test_every_table_has_read_only_records() -> None:
    assert TABLES
    assert [model for model, shown in TABLES if not isinstance(shown, RecordAdmin)] == []


def test_every_field_that_sounds_like_a_secret_is_listed() -> None:
    unlisted = {
        f"{model._meta.label_lower}.{field.name}"
        for model, _shown in TABLES
        for field in model._meta.fields
        if any(word in field.name for word in SUSPICIOUS)
        and field.name not in SECRETS.get(model._meta.label_lower, ())
    }
    assert unlisted - NO_SECRETS == set()


def test_a_password_hash_cannot_be_read_by_lookups(world: World, log_in: Login) -> None:
    support, user = log_in("support"), world.app.customer
    User.objects.filter(pk=user.pk).update(password="argon2$argon2id$v=19$known")
    for lookup in ("password__startswith", "password__regex", "password", "password__gte"):
        reply = support.get("/admin/accounts/user/", {"username": user.username, lookup: "argon2"})
        assert reply.status_code == 400, lookup


@pytest.mark.parametrize("model", [model for model, _shown in TABLES], ids=lambda model: model._meta.label)
def test_undeclared_lookups_are_rejected(model: type[models.Model], as_admin: Client) -> None:
    shown = admin.site._registry[model]
    allowed = {name for declared in shown.list_filter for name in parameters_of(declared)}
    tried = []
    for field in model._meta.fields:
        tried += [field.name, f"{field.name}__startswith", f"{field.name}__regex", f"{field.name}__isnull"]
        if field.related_model is not None and field.related_model is not model:
            tried += [f"{field.name}__{far.name}__regex" for far in field.related_model._meta.fields]
    tried += ["customer__password__regex", "app__customer__password__regex", "by__password__startswith"]
    got = {
        name: as_admin.get(address(model), {name: "1"}).status_code for name in tried if name not in allowed
    }
    assert got
    assert {name: status for name, status in got.items() if status != 400} == {}


def test_every_declared_filter_still_works(world: World, as_admin: Client) -> None:
    """Follow each link of each filter, as an operator clicks it."""
    followed = 0
    for model, shown in TABLES:
        request = as_admin.get(address(model)).wsgi_request
        for spec in shown.get_changelist_instance(request).filter_specs:
            changelist = shown.get_changelist_instance(request)
            for choice in list(spec.choices(changelist))[:3]:
                reply = as_admin.get(address(model) + str(choice["query_string"]))
                assert reply.status_code == 200, (model, choice)
                followed += 1
    assert followed > 50


def secret_columns(model: type[models.Model]) -> list[str]:
    return [
        f'"{table}"."{column}"'
        for label, names in SECRETS.items()
        for table in [label.replace(".", "_")]
        for column in names
    ]


@pytest.mark.parametrize("model", [model for model, _shown in TABLES], ids=lambda model: model._meta.label)
def test_no_list_loads_a_secret(model: type[models.Model], world: World, as_admin: Client) -> None:
    shown = admin.site._registry[model]
    request = HttpRequest()
    request.user = User.objects.get(username="op-admin")
    sql = str(shown.get_queryset(request).select_related(*_joined(shown)).query)
    assert [column for column in secret_columns(model) if column in sql] == []


def _joined(shown: Any) -> list[str]:
    return list(shown.list_select_related or [])


def test_a_record_page_loads_no_secret_but_the_operators_own(world: World, as_admin: Client) -> None:
    for row in (world.app.customer, world.app, world.key, world.orders[0]):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            reply = as_admin.get(f"{address(type(row))}{row.pk}/change/")
        assert reply.status_code == 200
        text = " ".join(query["sql"] for query in queries)
        assert AppKey._meta.db_table not in text or "secret_encrypted" not in text
        # The session's user is loaded once, with the password hash.
        assert text.count('"accounts_user"."password"') <= 1, row
