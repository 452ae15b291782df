"""Create the extension pgvector in a migration, with a clear error if the server does not have it."""

from typing import Any

from django.core.management.base import CommandError
from django.db import ProgrammingError
from pgvector.django import VectorExtension

MINIMUM = (0, 8)  # iterative index scans
MISSING = (
    "This PostgreSQL server does not offer the extension pgvector ({found}): install pgvector "
    f"{'.'.join(map(str, MINIMUM))} or newer on it (docs/operators/operations.en.md), "
    "then run migrate again."
)
NOT_ALLOWED = (
    "The role {role} may not create the extension pgvector in the database {database}: run "
    '"CREATE EXTENSION vector" in it as a superuser (docs/operators/operations.en.md), '
    "then run migrate again."
)
INSUFFICIENT_PRIVILEGE = "42501"


class CreateVectorExtension(VectorExtension):
    """CREATE EXTENSION vector, as the owner of the tables.

    Raises CommandError if the server has no pgvector or too old a version, or the owner may not create it.
    """

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(
                "SELECT coalesce((SELECT extversion FROM pg_extension WHERE extname = 'vector'),"
                " (SELECT default_version FROM pg_available_extensions WHERE name = 'vector'))"
            )
            (version,) = cursor.fetchone()
            cursor.execute("SELECT current_user, current_database()")
            role, database = cursor.fetchone()
        if version is None or tuple(map(int, version.split(".")[:2])) < MINIMUM:
            raise CommandError(MISSING.format(found=version or "none"))
        try:
            super().database_forwards(app_label, schema_editor, from_state, to_state)
        except ProgrammingError as error:
            if getattr(error.__cause__, "pgcode", None) != INSUFFICIENT_PRIVILEGE:
                raise
            raise CommandError(NOT_ALLOWED.format(role=role, database=database)) from None

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Keep the extension, because other tables may use it."""
