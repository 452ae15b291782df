"""Syntax highlighting of source text, with CSS classes and without inline styles."""

import re
from functools import lru_cache

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from pygments import highlight
from pygments.formatters.html import HtmlFormatter
from pygments.lexers import get_lexer_by_name

MAX_CHARACTERS = 60_000  # a longer text is shown without colours
PREFIX = "hl-"
# Names, punctuation, operators and white space are not coloured; marking them would double the page.
_PLAIN = re.compile(r'<span class="hl-(?:n|nx|p|o|w|err)">([^<]*)</span>')


@lru_cache(maxsize=64)
def highlighted(text: str, language: str) -> SafeString:
    """Return the text as escaped HTML with classes. `language` is a name of Pygments."""
    if len(text) > MAX_CHARACTERS:
        return escape(text)
    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    formatter = HtmlFormatter[str](nowrap=True, classprefix=PREFIX)
    marked = _PLAIN.sub(r"\1", highlight(text, lexer, formatter))
    return mark_safe(marked if text.endswith("\n") else marked.removesuffix("\n"))  # noqa: S308 - escaped
