"""`python -m tests.repository.folders`: list folders with too many Python modules, for bin/check."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

MAX_MODULES = 12
# Python and pytest dictate the first three names; Django and Celery find the others by theirs.
NOT_COUNTED = {
    "__init__.py",
    "__main__.py",
    "conftest.py",
    "admin.py",
    "apps.py",
    "models.py",
    "tasks.py",
    "urls.py",
}


def crowded(files: Iterable[str]) -> dict[str, int]:
    """Return the folders that have more than MAX_MODULES modules of their own, with the number.

    Migrations are not counted: their number grows with the history of the tables.
    """
    paths = [PurePosixPath(file) for file in files]
    modules = Counter(
        str(path.parent)
        for path in paths
        if path.suffix == ".py" and path.name not in NOT_COUNTED and path.parent.name != "migrations"
    )
    return {folder: count for folder, count in sorted(modules.items()) if count > MAX_MODULES}


def main() -> None:
    """Exit with a message if a folder of this repository has too many modules."""
    listing = subprocess.run(["git", "ls-files", "*.py"], capture_output=True, text=True, check=True)
    found = crowded(listing.stdout.splitlines())
    if found:
        sys.exit(
            "\n".join(
                f"{folder}: {count} modules, more than {MAX_MODULES}" for folder, count in found.items()
            )
        )


if __name__ == "__main__":
    main()
