"""The previous version can run on this one's schema: migrations add first, and index without a lock.

Other locks of a migration end after DB_MIGRATION_LOCK_TIMEOUT_S; docs/operators/services.en.md has the rule.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import models
from django.db.migrations import Migration, operations
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader

from tests.conftest import REPOSITORY

# Removes what the previous version may still use. Allowed one version after its last use.
TAKES_AWAY = (
    operations.RemoveField,
    operations.DeleteModel,
    operations.RenameField,
    operations.RenameModel,
    operations.AlterModelTable,
)
# Partitioned by month (docs/decisions/0024-months.md): no index can be created concurrently on all of it.
PARTITIONED = {("faceapi", "call"), ("billing", "debit"), ("billing", "debitline")}
DROPS_LATER = "drops_what_the_previous_version_no_longer_uses"  # set to True on such a Migration


def migrations() -> Iterator[tuple[str, Migration]]:
    """Yield the migrations of the project's own apps."""
    for (app, name), migration in MigrationLoader(None, ignore_no_migrations=True).disk_migrations.items():
        if Path(apps.get_app_config(app).path).parent == REPOSITORY:
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
        if not operation.reversible and not migration.replaces:
            found.append(f"{told}: it cannot be reversed; add a reverse operation")
        if isinstance(operation, TAKES_AWAY) and not getattr(migration, DROPS_LATER, False):
            found.append(f"{told}: the previous version still uses it")
        if getattr(operation, "model_name_lower", None) in new:
            continue
        if isinstance(operation, operations.AddIndex) and not isinstance(operation, AddIndexConcurrently):
            found.append(f"{told}: use AddIndexConcurrently, in a migration with atomic = False")
        if (
            isinstance(operation, operations.AddIndex)
            and (
                migration.app_label,
                operation.model_name_lower,
            )
            in PARTITIONED
        ):
            found.append(f"{told}: create it ON ONLY the parent, concurrently on each partition, and attach")
        elif isinstance(operation, AddIndexConcurrently) and migration.atomic:
            found.append(f"{told}: set atomic = False")
        if isinstance(operation, operations.AddField) and not can_be_left_out(operation.field):
            found.append(f"{told}: the previous version cannot insert; add null=True or a db_default")
    return found


def can_be_left_out(field: models.Field) -> bool:
    return field.null or field.many_to_many or field.db_default is not models.NOT_PROVIDED


def test_the_previous_version_can_run_on_the_new_schema() -> None:
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
        (operations.RunSQL("SELECT 1"), True, 1),
        (operations.RunSQL("SELECT 1", operations.RunSQL.noop), True, 0),
    ],
)
def test_each_operation_that_breaks_the_rule_is_reported(
    operation: operations.base.Operation, atomic: bool, count: int
) -> None:
    migration = Migration("9999_test", "accounts")
    migration.operations, migration.atomic = [operation], atomic
    assert len(faults(migration)) == count


def test_operations_on_new_tables_are_unrestricted() -> None:
    migration = Migration("9999_test", "accounts")
    fields = [("id", models.BigAutoField(primary_key=True)), ("name", models.TextField())]
    migration.operations = [operations.CreateModel("Thing", fields), operations.AddIndex("thing", INDEX)]
    assert faults(migration) == []


def test_unused_columns_may_be_dropped() -> None:
    migration = Migration("9999_test", "accounts")
    migration.operations = [operations.RemoveField("app", "size")]
    setattr(migration, DROPS_LATER, True)
    assert faults(migration) == []


def test_every_room_with_tables_is_checked() -> None:
    rooms = {name.partition(".")[0] for name, _migration in migrations()}
    assert rooms == {"accounts", "billing", "faceapi", "gallery", "operations"}


def test_an_index_of_a_whole_partitioned_table_is_reported() -> None:
    for app, model, count in (("faceapi", "call", 1), ("faceapi", "usagehour", 0), ("billing", "Debit", 1)):
        migration = Migration("9999_test", app)
        migration.operations, migration.atomic = [AddIndexConcurrently(model, INDEX)], False
        assert len(faults(migration)) == count


def misnamed(app: str, name: str) -> str:
    """Return what is wrong with the name of a migration, given those that a squashed one replaced.

    A replaced name counts as applied for ever, and Django sorts and numbers by the names.
    """
    replacements = MigrationLoader(None, ignore_no_migrations=True).replacements
    squashed = {key: migration.replaces for key, migration in replacements.items() if key[0] == app}
    if (app, name) in squashed:
        return ""
    last = max(MigrationAutodetector.parse_number(key[1]) or 0 for key in squashed)
    if any((app, name) in old for old in squashed.values()):
        return "was replaced"
    return "" if (MigrationAutodetector.parse_number(name) or 0) > last else f"must be after {last:04}"


def test_names_of_migrations_come_after_the_replaced_ones() -> None:
    assert {name: fault for name, _ in migrations() if (fault := misnamed(*name.split(".")))} == {}


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("0024_more", ""),
        ("0001_squashed_0023_debits_by_month", ""),
        ("0022_months", "was replaced"),
        ("0002_more", "must be after 0023"),
    ],
)
def test_a_name_that_breaks_the_rule_is_reported(name: str, fault: str) -> None:
    assert misnamed("billing", name) == fault
