"""Statements that Django defers to the end of a migration: foreign keys and indexes of new tables."""

from typing import Any


def run_deferred(apps: Any, schema_editor: Any) -> None:
    """Run them now, for SQL later in the same migration that needs them; a step for RunPython."""
    while schema_editor.deferred_sql:
        schema_editor.execute(schema_editor.deferred_sql.pop(0), None)
