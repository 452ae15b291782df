#!/usr/bin/env python
"""Django's command line. `bin/manage` runs it inside the project's environment."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import OperationalError


def main() -> None:
    """Run a command; exit with status 2 and one sentence if a setting is wrong."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "facecloud.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        refuse(f"A setting in the environment or in .env is wrong: {error}")
    except OperationalError as error:
        if getattr(error.__cause__, "pgcode", None):  # PostgreSQL responded, so the error has another cause
            raise
        refuse(f"The database of DATABASE_URL can't be reached: {str(error).splitlines()[0]}")


def refuse(words: str) -> None:
    sys.stderr.write(f"{words}\n")
    sys.exit(2)


if __name__ == "__main__":
    main()
