"""The version before can serve on the schema of this one: migrations add first, and lock no table for long.

docs/services.en.md states the rule. It holds for the migrations after those in BEFORE_THE_RULE.
"""

from collections.abc import Iterator

import pytest
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import connection, models
from django.db.migrations import Migration, operations
from django.db.migrations.loader import MigrationLoader

BEFORE_THE_RULE = {"accounts": 9, "billing": 13, "faceapi": 7, "gallery": 0}
# What the version before still reads or writes; it may go one version after nothing names it any more.
TAKES_AWAY = (
    operations.RemoveField,
    operations.DeleteModel,
    operations.RenameField,
    operations.RenameModel,
    operations.AlterModelTable,
)
PARTITIONED = {"call", "debit", "debitline"}  # by month: an index cannot be made concurrently on all of it
DROPS_LATER = "drops_what_the_version_before_no_longer_uses"  # set to True on such a Migration


def migrations() -> Iterator[tuple[str, Migration]]:
    loader = MigrationLoader(connection, ignore_no_migrations=True)
    for (app, name), migration in loader.disk_migrations.items():
        if app in BEFORE_THE_RULE and int(name.partition("_")[0]) > BEFORE_THE_RULE[app]:
            yield f"{app}.{name}", migration


def faults(migration: Migration) -> list[str]:
    new = {
        operation.name_lower
        for operation in migration.operations
        if isinstance(operation, operations.CreateModel)
    }
    found = []
    for operation in migration.operations:
        told = operation.describe()
        if isinstance(operation, TAKES_AWAY) and not getattr(migration, DROPS_LATER, False):
            found.append(f"{told}: the version before still uses it")
        if getattr(operation, "model_name_lower", None) in new:
            continue
        if isinstance(operation, operations.AddIndex) and not isinstance(operation, AddIndexConcurrently):
            found.append(f"{told}: use AddIndexConcurrently, in a migration with atomic = False")
        if isinstance(operation, operations.AddIndex) and is_partitioned(operation.model_name, migration):
            found.append(f"{told}: create it ON ONLY the parent, concurrently on each partition, and attach")
        elif isinstance(operation, AddIndexConcurrently) and migration.atomic:
            found.append(f"{told}: set atomic = False")
        if isinstance(operation, operations.AddField) and not can_be_left_out(operation.field):
            found.append(f"{told}: the version before cannot insert; give it null=True or a db_default")
    return found


def is_partitioned(model: str, migration: Migration) -> bool:
    """Return whether the model's table is partitioned by then (docs/decisions/0024-months.md)."""
    last_before = {"billing": 21, "faceapi": 10}.get(migration.app_label)
    return (
        model.lower() in PARTITIONED
        and last_before is not None
        and int(migration.name.partition("_")[0]) > last_before
    )


def can_be_left_out(field: models.Field) -> bool:
    return field.null or field.many_to_many or field.db_default is not models.NOT_PROVIDED


@pytest.mark.django_db
def test_the_version_before_can_serve_on_the_new_schema() -> None:
    assert {name: found for name, migration in migrations() if (found := faults(migration))} == {}


INDEX = models.Index(fields=["name"], name="by_name")
COLUMN = models.IntegerField()


@pytest.mark.parametrize(
    ("operation", "atomic", "count"),
    [
        (operations.AddIndex("app", INDEX), True, 1),
        (AddIndexConcurrently("app", INDEX), True, 1),
        (AddIndexConcurrently("app", INDEX), False, 0),
        (operations.AddField("app", "size", COLUMN), True, 1),
        (operations.AddField("app", "size", models.IntegerField(null=True)), True, 0),
        (operations.AddField("app", "size", models.IntegerField(db_default=0)), True, 0),
        (operations.RemoveField("app", "size"), True, 1),
        (operations.RenameField("app", "size", "length"), True, 1),
        (operations.DeleteModel("app"), True, 1),
    ],
)
def test_the_rule(operation: operations.base.Operation, atomic: bool, count: int) -> None:
    migration = Migration("9999_test", "accounts")
    migration.operations, migration.atomic = [operation], atomic
    assert len(faults(migration)) == count


def test_new_tables_are_unrestricted() -> None:
    migration = Migration("9999_test", "accounts")
    fields = [("id", models.BigAutoField(primary_key=True)), ("name", models.TextField())]
    migration.operations = [operations.CreateModel("Thing", fields), operations.AddIndex("thing", INDEX)]
    assert faults(migration) == []


def test_unused_columns_may_be_dropped() -> None:
    migration = Migration("9999_test", "accounts")
    migration.operations = [operations.RemoveField("app", "size")]
    setattr(migration, DROPS_LATER, True)
    assert faults(migration) == []


@pytest.mark.django_db
def test_every_room_with_tables_is_checked() -> None:
    ours = {app for app, _name in MigrationLoader(connection).disk_migrations} & {
        "accounts",
        "billing",
        "console",
        "faceapi",
        "gallery",
    }
    assert ours == set(BEFORE_THE_RULE)


def test_an_index_of_a_partitioned_table_is_not_made_concurrently_on_all_of_it() -> None:
    for name, count in (("9999_test", 1), ("0010_test", 0)):
        migration = Migration(name, "faceapi")
        migration.operations, migration.atomic = [AddIndexConcurrently("call", INDEX)], False
        assert len(faults(migration)) == count
