"""The rule for user names, and when two of them look alike.

A name has ASCII letters, digits, Chinese characters, dots, underscores and hyphens. Other scripts are
refused: Cyrillic and Greek letters look like Latin ones, and operators recognise customers by their names.

Within the remaining alphabet, `skeleton` maps what looks alike (l, I and 1, O and 0, rn and m, capitals) to
one text, and a unique column holds it, so that "0perator" can't be registered beside "operator".

Names of an earlier version stay valid; of two that look alike, the older one holds the skeleton.
"""

import re
import unicodedata

PATTERN = re.compile(r"[A-Za-z0-9_.\-\u3400-\u4dbf\u4e00-\u9fff]{3,30}")
RESERVED = (
    "admin", "administrator", "root", "operator", "support", "system", "security", "postmaster", "webmaster",
    "hostmaster", "abuse", "noreply", "no-reply", "facecloud", "official", "help", "service", "staff",
    "管理员", "系统", "客服", "官方", "运营", "运维",
)  # fmt: skip
_ALIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "|": "l"})


def skeleton(name: str) -> str:
    """Return the text that all names share which look like this one."""
    text = unicodedata.normalize("NFKC", name).casefold().translate(_ALIKE)
    return text.replace("rn", "m").replace("vv", "w")


RESERVED_SKELETONS = frozenset(map(skeleton, RESERVED))


def is_reserved(name: str) -> bool:
    """Return whether the name looks like one that speaks for the site itself."""
    return skeleton(name) in RESERVED_SKELETONS
