"""Databases that were migrated before the migrations were squashed to one per room.

If a database has all of the replaced migrations, Django records the one that replaces them and runs nothing.
If it has only some of them, the others must first be run with the last revision that contains them.
"""

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

LAST_REVISION = "56e3317"  # the last one that contains the replaced migrations
TOO_OLD = (
    "This database was not migrated to the end of an earlier version ({missing} is missing): run migrate "
    f"with revision {LAST_REVISION} first, then with this version "
    "(docs/operators/operations.en.md, Upgrades)."
)


def fault(connection: BaseDatabaseWrapper) -> str | None:
    """Return an error message if the database has only some of an app's replaced migrations, or None."""
    loader = MigrationLoader(None, ignore_no_migrations=True)
    applied = MigrationRecorder(connection).applied_migrations()
    for replacement in loader.replacements.values():
        missing = [replaced for replaced in replacement.replaces if replaced not in applied]
        is_partial = 0 < len(missing) < len(replacement.replaces)
        if is_partial and not any(replaced in loader.disk_migrations for replaced in missing):
            return TOO_OLD.format(missing=".".join(missing[0]))
    return None
