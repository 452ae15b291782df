"""The extension pgvector, and the errors of a database without it."""

from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.core.management.base import CommandError
from django.db import connection, connections

from gallery.vectors import extension

pytestmark = pytest.mark.django_db


def test_a_missing_pgvector_is_reported_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server has pgvector, so requiring a version that does not exist simulates a missing one."""
    monkeypatch.setattr(extension, "MINIMUM", (99, 0))
    editor = SimpleNamespace(connection=connection)
    with pytest.raises(CommandError, match=r"does not offer the extension pgvector \(0\.\d"):
        extension.CreateVectorExtension().database_forwards("gallery", editor, None, None)


@pytest.mark.django_db(transaction=True)
def test_an_owner_who_cannot_create_extensions_is_reported_clearly() -> None:
    """The extension pgvector is not trusted: a database owner who is not a superuser cannot create it."""
    name = f"without_vector_{uuid4().hex[:12]}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {name}")
        cursor.execute(f"CREATE DATABASE {name} OWNER {name} TEMPLATE template0")
    other = connection.copy("without_vector")
    other.settings_dict = connection.settings_dict | {"NAME": name}
    connections["without_vector"] = other
    try:
        with other.cursor() as cursor:
            cursor.execute(f"SET ROLE {name}")
        with (
            pytest.raises(CommandError, match=f"The role {name} may not create .* database {name}: run"),
            other.schema_editor() as editor,
        ):
            extension.CreateVectorExtension().database_forwards("gallery", editor, None, None)
        with other.cursor() as cursor:  # the remedy
            cursor.execute("RESET ROLE")
            cursor.execute("CREATE EXTENSION vector")
            cursor.execute(f"SET ROLE {name}")
        with other.schema_editor() as editor:
            extension.CreateVectorExtension().database_forwards("gallery", editor, None, None)
    finally:
        other.close()
        del connections["without_vector"]
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
            cursor.execute(f"DROP ROLE {name}")
