"""`manage.py showmigrations`, with one sentence instead of a traceback for a database that is too old."""

from typing import Any

from django.core.management.commands import showmigrations


class Command(showmigrations.Command):
    """Django's command, after the checks of the database that `migrate` runs too (facecloud.E012)."""

    def get_check_kwargs(self, options: dict[str, Any]) -> dict[str | None, Any]:
        return {**super().get_check_kwargs(options), "databases": [options["database"]]}
