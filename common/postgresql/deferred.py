"""Statements that Django defers to the end of a migration: foreign keys and indexes of new tables."""

from typing import Any


def run_deferred(apps: Any, schema_editor: Any) -> None:
    """Execute the deferred statements now, before later SQL in the same migration. A step for RunPython."""
    while schema_editor.deferred_sql:
        schema_editor.execute(schema_editor.deferred_sql.pop(0), None)
