"""The client's own words, in Chinese and English.

FACECLOUD_LANG=zh|en decides; without it a locale that starts with `en` means English, anything else Chinese.
"""

import os


def language() -> str:
    """`zh` or `en`."""
    asked = os.environ.get("FACECLOUD_LANG", "")
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        asked = asked or os.environ.get(name, "")
    return "en" if asked.lower().startswith("en") else "zh"


def say(zh: str, en: str) -> str:
    """The sentence in the reader's language."""
    return en if language() == "en" else zh
