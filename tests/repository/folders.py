"""`python -m tests.repository.folders`: list folders with too many files of one kind, for bin/check."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

MAX_FILES = 12
KINDS = {".py": "modules", ".html": "templates", ".md": "documents"}
HISTORIES = {"migrations", "decisions"}  # grow with the history of the project
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


def crowded(files: Iterable[str]) -> dict[tuple[str, str], int]:
    """Return the number of files by folder and kind, where it is more than MAX_FILES."""
    paths = [PurePosixPath(file) for file in files]
    found = Counter(
        (str(path.parent), KINDS[path.suffix])
        for path in paths
        if path.suffix in KINDS and path.name not in NOT_COUNTED and path.parent.name not in HISTORIES
    )
    return {place: count for place, count in sorted(found.items()) if count > MAX_FILES}


def main() -> None:
    """Exit with a message if a folder of this repository has too many files of one kind."""
    listing = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True)
    found = crowded(listing.stdout.splitlines())
    if found:
        sys.exit(
            "\n".join(
                f"{folder}: {count} {kind}, more than {MAX_FILES}" for (folder, kind), count in found.items()
            )
        )


if __name__ == "__main__":
    main()
