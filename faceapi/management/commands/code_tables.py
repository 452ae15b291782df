"""`manage.py code_tables [--check]`: write the code tables of docs and client from faceapi/errors/."""

import re
import sys
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from faceapi.error_code import Code
from faceapi.errors import TABLE

_ROWS = re.compile(r"(?:^\| \d{4} \|.*\n)+", re.MULTILINE)
_ENGLISH = re.compile(r"^ENGLISH = \{\n.*?^\}\n", re.MULTILINE | re.DOTALL)
_RESERVED_ZH, _RESERVED_EN = "为视频结果保留,不会返回", "Reserved for video results; never returned."


def chinese(row: Code) -> str:
    """Return the row of a code in docs/api.md."""
    return _row(row, row.zh, _RESERVED_ZH if row.reserved else row.remedy_zh)


def english(row: Code) -> str:
    """Return the row of a code in docs/api.en.md."""
    return _row(row, row.en, _RESERVED_EN if row.reserved else row.remedy_en)


def _row(row: Code, message: str, remedy: str) -> str:
    return f"| {row.number} | {'–' if row.reserved else row.http} | {message} | {remedy} |\n"


def with_table(text: str, pattern: re.Pattern[str], table: str) -> str:
    """Return the text with its table replaced. Raises ValueError unless there is exactly one."""
    replaced, count = pattern.subn(lambda _found: table, text)
    if count != 1:
        raise ValueError(f"expected one table of codes, found {count}")
    return replaced


def tables() -> dict[Path, tuple[re.Pattern[str], str]]:
    """Return for each file the pattern of its table, and the table as it should be."""
    rows = list(TABLE.values())
    messages = "".join(f'    {row.number}: "{row.en}",\n' for row in rows if not row.reserved)
    base = Path(settings.BASE_DIR)
    return {
        base / "docs" / "api.md": (_ROWS, "".join(map(chinese, rows))),
        base / "docs" / "api.en.md": (_ROWS, "".join(map(english, rows))),
        base / "client" / "facecloud_client" / "codes.py": (_ENGLISH, f"ENGLISH = {{\n{messages}}}\n"),
    }


class Command(BaseCommand):
    help = "Write the tables of codes in the documentation and the client."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a table differs")

    def handle(self, *args: object, **options: object) -> None:
        outdated = []
        for path, (pattern, table) in tables().items():
            text = path.read_text(encoding="utf-8")
            if (wanted := with_table(text, pattern, table)) != text:
                outdated.append(path)
                if not options["check"]:
                    path.write_text(wanted, encoding="utf-8")
        for path in outdated:
            self.stdout.write(f"{'outdated' if options['check'] else 'written'}: {path.name}")
        if outdated and options["check"]:
            sys.exit(1)
