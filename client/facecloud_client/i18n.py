"""The client's messages, in Chinese and English.

FACECLOUD_LANG=zh|en selects the language; without it, a locale that starts with `en` selects English, and any
other one Chinese.
"""

import os


def language() -> str:
    """Return `zh` or `en`."""
    asked = os.environ.get("FACECLOUD_LANG", "")
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        asked = asked or os.environ.get(name, "")
    return "en" if asked.lower().startswith("en") else "zh"


def say(zh: str, en: str) -> str:
    """Return the text in the user's language."""
    return en if language() == "en" else zh
