"""Tables as CSV files for spreadsheets."""

import csv
import re
from collections.abc import Iterable

from django.http import HttpResponse

FORMULA = r"(?:^|[;\r\n])(?=[=+\-@\t\r])"  # the place before one
NUMBER_LIKE = r"0\d+|\d{12,}|\d+[eE]\d+"  # leading zeros, more digits than Excel shows, exponents as in 12e34


def csv_file(name: str, rows: Iterable[Iterable[object]]) -> HttpResponse:
    """Write the rows, heading first, for a spreadsheet.

    The byte order mark makes Excel read UTF-8. Text stays text: no cell is evaluated as a formula, and an id
    of digits, such as an order number, is not converted to a rounded number. Numbers are written unchanged.
    """
    response = HttpResponse("\ufeff", content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    csv.writer(response).writerows(map(_cell, row) for row in rows)
    return response


def _cell(value: object) -> object:
    """Mark text that a spreadsheet would change.

    A formula is prefixed with a quote, also after a semicolon or a line end: where the comma is the decimal
    mark, spreadsheets may start a cell there, because they do not recognise the quotes of a file with commas.
    Text that looks like a number, which Excel would round to 15 digits or
    strip of leading zeros, gets a trailing tab, which is invisible and makes the cell text.
    """
    if not isinstance(value, str):
        return value
    value = re.sub(FORMULA, r"\g<0>'", value)
    return f"{value}\t" if re.fullmatch(NUMBER_LIKE, value) else value
