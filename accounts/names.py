"""The rule for an App's name and description (manual 3.1.2), as one regular expression for three engines.

The same source text is valid in Python (`re.fullmatch`), PostgreSQL (ARE) and ECMAScript, so that browser,
form and database reject the same texts. A character is one code point: a Chinese character counts as one. The
rule rejects the special characters that the manual lists, control characters, line breaks and the invisible
format characters that reorder or hide text. Leading and trailing white space is trimmed first.
"""

import re

from accounts.errors import RuleError

NAME_LENGTH = 16
DESCRIPTION_LENGTH = 28

SIGNS = "~!@#\u00a5\uffe5%^&*"  # both yen signs: half-width and full-width
_UNPRINTABLE = r"\u0001-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
_SPACE = r" \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
FORBIDDEN = f"[{SIGNS}{_UNPRINTABLE}]"
_TRIM = " \t\n\v\f\r\u0085\u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(
    map(chr, range(0x2000, 0x200B))
)


def _pattern(limit: int) -> str:
    """Return the complete rule for a trimmed text of 1 to `limit` characters."""
    return f"^(?![{_SPACE}])(?!.*[{_SPACE}]$)[^{SIGNS}{_UNPRINTABLE}]{{1,{limit}}}$"


NAME_PATTERN = _pattern(NAME_LENGTH)
DESCRIPTION_PATTERN = _pattern(DESCRIPTION_LENGTH)


def _check(text: str, field: str, limit: int) -> str:
    trimmed = text.strip(_TRIM)
    if not trimmed:
        raise RuleError("name_empty", field=field, limit=limit)
    if bad := re.search(FORBIDDEN + "|[\x00\ud800-\udfff]", trimmed):
        raise RuleError("name_characters", field=field, limit=limit, character=bad.group())
    if len(trimmed) > limit:
        raise RuleError("name_too_long", field=field, limit=limit, length=len(trimmed))
    return trimmed


def check_app_name(text: str) -> str:
    """Return the trimmed name of 1-16 characters. Raises RuleError."""
    return _check(text, "name", NAME_LENGTH)


def check_app_description(text: str) -> str:
    """Return the trimmed description of 1-28 characters. Raises RuleError."""
    return _check(text, "description", DESCRIPTION_LENGTH)
