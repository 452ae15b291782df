"""The CSV file of `compare --pairs`."""

import csv
from pathlib import Path

from facecloud_client.errors import InputError
from facecloud_client.i18n import say
from facecloud_client.request.sources import is_url


def from_file(path: Path) -> list[tuple[str, str]]:
    """Read pairs from a two-column CSV file; paths are relative to its folder. Raises InputError."""
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(str(path), str(error)) from error
    pairs: list[tuple[str, str]] = []
    for number, row in enumerate(rows, start=1):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if len(cells) != 2 or not all(cells):
            raise InputError(
                str(path), say(f"第 {number} 行应为两列", f"line {number} should have two columns")
            )
        one, other = (cell if is_url(cell) else str(path.parent / cell) for cell in cells)
        pairs.append((one, other))
    return pairs
