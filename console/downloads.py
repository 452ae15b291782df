"""Tables as files for a spreadsheet."""

import csv
from collections.abc import Iterable

from django.http import HttpResponse


def csv_file(name: str, rows: Iterable[Iterable[object]]) -> HttpResponse:
    """The rows, heading first, with the mark that makes Excel read them as UTF-8; no text is a formula."""
    response = HttpResponse("\ufeff", content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    csv.writer(response).writerows(map(_no_formula, row) for row in rows)
    return response


def _no_formula(cell: object) -> object:
    """Numbers as they are; a text that a spreadsheet would compute gets a quote before it."""
    is_formula = isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{cell}" if is_formula else cell
