"""Databases that were migrated before the migrations were squashed to one a room.

Django takes over a database that has all of the replaced migrations: it records the one that replaces them
and runs nothing. A database that has only some of them needs the last revision that can run the others.
"""

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

LAST_REVISION = "56e3317"  # that has the replaced migrations
TOO_OLD = (
    "This database was not migrated to the end of an earlier version ({missing} is missing): run migrate "
    f"with revision {LAST_REVISION} first, then with this version (docs/operations.en.md, Upgrades)."
)


def fault(connection: BaseDatabaseWrapper) -> str | None:
    """Return one sentence if the database has only some of the replaced migrations of an app."""
    loader = MigrationLoader(None, ignore_no_migrations=True)
    applied = MigrationRecorder(connection).applied_migrations()
    for replacement in loader.replacements.values():
        missing = [replaced for replaced in replacement.replaces if replaced not in applied]
        is_partial = 0 < len(missing) < len(replacement.replaces)
        if is_partial and not any(replaced in loader.disk_migrations for replaced in missing):
            return TOO_OLD.format(missing=".".join(missing[0]))
    return None
