"""CSV files for a spreadsheet: texts that customers typed are not formulas, numbers stay numbers."""

from decimal import Decimal

import pytest

from console.reports.downloads import csv_file


@pytest.mark.parametrize("typed", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_texts_are_not_formulas(typed: str) -> None:
    cell = csv_file("file", [[typed]]).content.decode().strip("\ufeff\r\n").strip('"')
    assert cell.startswith("'")
    assert cell.endswith(typed[-2:])


@pytest.mark.parametrize("typed", ["ACME;=1+1", "ACME;@SUM(A1)", "two lines\n=1+1"])
def test_no_formula_begins_after_a_semicolon_or_a_line_end(typed: str) -> None:
    """Where the comma is the decimal mark, spreadsheets separate cells at semicolons."""
    start, formula = typed[: typed.index("=" if "=" in typed else "@")], typed[-4:]
    cell = csv_file("file", [[typed]]).content.decode().strip("\ufeff\r\n").strip('"')
    assert cell.startswith(f"{start}'")
    assert cell.endswith(formula)


DIGITS = ["20261128031500123456", "0012", "12e34", "1234567890123456"]


@pytest.mark.parametrize("digits", DIGITS)
def test_digits_of_an_id_stay_text(digits: str) -> None:
    """A spreadsheet shows a number of 20 digits as 2.02E+19; the tab makes the cell a text."""
    assert csv_file("file", [[digits]]).content.decode() == f"\ufeff{digits}\t\r\n"


def test_numbers_and_other_texts_stay_as_they_are() -> None:
    file = csv_file("file", [["门禁", "a=b", Decimal("-2.50"), -3, ""]])
    assert file.content.decode() == "\ufeff门禁,a=b,-2.50,-3,\r\n"
