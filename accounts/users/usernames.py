"""The rule for user names, and detection of look-alikes.

A name consists of ASCII letters, digits, Chinese characters, dots, underscores and hyphens. Other scripts are
rejected: Cyrillic and Greek letters look like Latin ones, and operators recognise customers by their names.

Within that alphabet, `skeleton` maps confusable characters (l, I and 1; O and 0; rn and m; capitals) to the
same text. A unique column stores it, so that "0perator" can't be registered next to "operator".

Names from an earlier version stay valid; of two look-alikes, only the older one has a skeleton.
"""

import re
import unicodedata

PATTERN = re.compile(r"[A-Za-z0-9_.\-\u3400-\u4dbf\u4e00-\u9fff]{3,30}")
RESERVED = (
    "admin", "administrator", "root", "operator", "support", "system", "security", "postmaster", "webmaster",
    "hostmaster", "abuse", "noreply", "no-reply", "facecloud", "official", "help", "service", "staff",
    "管理员", "系统", "客服", "官方", "运营", "运维",
)  # fmt: skip
_CONFUSABLES = str.maketrans({"0": "o", "1": "l", "i": "l", "|": "l"})


def skeleton(name: str) -> str:
    """Return a text that is the same for all names that look like this one."""
    text = unicodedata.normalize("NFKC", name).casefold().translate(_CONFUSABLES)
    return text.replace("rn", "m").replace("vv", "w")


RESERVED_SKELETONS = frozenset(map(skeleton, RESERVED))


def is_reserved(name: str) -> bool:
    """Return whether the name looks like a name reserved for the operators of the site."""
    return skeleton(name) in RESERVED_SKELETONS
