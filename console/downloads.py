"""Tables as files for a spreadsheet."""

import csv
from collections.abc import Iterable

from django.http import HttpResponse


def csv_file(name: str, rows: Iterable[Iterable[object]]) -> HttpResponse:
    """The rows, heading first, with the mark that makes Excel read them as UTF-8."""
    response = HttpResponse("\ufeff", content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    csv.writer(response).writerows(rows)
    return response
