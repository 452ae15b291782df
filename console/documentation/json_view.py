"""JSON as foldable HTML: objects and lists are <details>, and the text content is the JSON itself."""

import json
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from console.documentation.highlighting import highlighted

MAX_LINES = 3_000  # a longer text is shown without folds
OPEN_LINES = 120  # a longer text is shown with its deep parts folded
OPEN_DEPTH = 4


def folded(value: Any) -> SafeString:
    """Return a JSON value as HTML, indented by two spaces."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    lines = text.count("\n") + 1
    if lines > MAX_LINES:
        return highlighted(text, "json")
    return _part(value, SafeString(""), "", 0, open_to=OPEN_DEPTH if lines > OPEN_LINES else 99)


def _part(value: Any, key: SafeString, comma: str, depth: int, open_to: int) -> SafeString:
    """Return one value after its key; each line ends with a newline, which a copy of the text keeps."""
    space = "  " * depth
    if not isinstance(value, dict | list) or not value:
        return format_html("<div>{}{}{}{}\n</div>", space, key, _leaf(value), comma)
    is_dict = isinstance(value, dict)
    if isinstance(value, dict):
        items = [(_key(name), one) for name, one in value.items()]
    else:
        items = [(SafeString(""), one) for one in value]
    last = len(items) - 1
    inside = format_html_join(
        "",
        "{}",
        (
            (_part(one, name, "," if at < last else "", depth + 1, open_to),)
            for at, (name, one) in enumerate(items)
        ),
    )
    first, end = "{}" if is_dict else "[]"
    return format_html(
        '<details{}><summary data-count="{}">{}{}{}\n</summary>{}</details><div>{}{}{}\n</div>',
        SafeString(" open") if depth < open_to else "",
        len(items),
        space,
        key,
        first,
        inside,
        space,
        end,
        comma,
    )


def _key(name: str) -> SafeString:
    return format_html('<span class="hl-nt">{}</span>: ', json.dumps(name, ensure_ascii=False))


def _leaf(value: Any) -> SafeString:
    text = json.dumps(value, ensure_ascii=False)
    kind = "s2" if isinstance(value, str) else "kc" if value is None or isinstance(value, bool) else "mi"
    return format_html('<span class="hl-{}">{}</span>', kind, text)
