"""base64 as clients write it: standard or URL-safe alphabet, padded or not, white space, inside a JSON
string.

Pure functions of bytes. A part is the raw content of a JSON string: escapes are still in it.
"""

import codecs
import json
import re
from collections.abc import Callable

import pybase64

PREFIXES = (
    "data:application/octet-stream;base64,",
    "data:image/png;base64,",
    "data:image/jpeg;base64,",
    "data:image/jpg;base64,",
)
UNKNOWN_PREFIX = f"an inline image must start with {PREFIXES[0]}"
MAX_PREFIX = 256  # bytes of the raw string in which the prefix must end

_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_WHITE = b" \t\r\n\f\v"


def data_start(head: bytes) -> int | None:
    """Where the content of a `data:` string starts, given its raw first bytes; None where it is no such
    string.
    """
    comma = head.find(b",")
    if comma < 0:
        return None
    return comma + 1 if _unescaped(head[: comma + 1]).lower().startswith(b"data:") else None


def is_known_prefix(raw: bytes) -> bool:
    return _unescaped(raw).decode("latin-1").lower().replace(" ", "") in PREFIXES


def utf8_checker() -> Callable[[bytes, bool], bool]:
    """A function that is fed pieces (and whether it is the last) and says whether it is UTF-8 so far."""
    decoder = codecs.getincrementaldecoder("utf-8")()

    def is_utf8(piece: bytes, final: bool) -> bool:
        try:
            decoder.decode(piece, final)
        except UnicodeDecodeError:
            return False
        return True

    return is_utf8


def _unescaped(part: bytes) -> bytes:
    """The bytes that a part of a JSON string stands for; the part itself where its escapes are wrong."""
    if b"\\" not in part:
        return part
    if b"\\\\" not in part:
        part = part.replace(b"\\/", b"/")
        if b"\\" not in part:
            return part
    try:
        text: str = json.loads(b'"' + part + b'"', strict=False)
        return text.encode("utf-8", "surrogatepass")
    except ValueError:
        return part


class Decoder:
    """Decodes base64 fed in parts. `was_irregular`: the last part held more than the base64 alphabet."""

    def __init__(self) -> None:
        self._rest = b""  # fewer than four characters of the alphabet
        self._padding = 0
        self._ended = False
        self.was_irregular = False

    def feed(self, part: bytes) -> bytes | None:
        """The next decoded bytes; None where it is no base64."""
        decoded = None if self._ended else self._decode(part)
        self.was_irregular = decoded is None
        if decoded is None:
            decoded = self._feed_irregular(_unescaped(part).translate(None, _WHITE))
        return decoded

    def finish(self) -> bytes | None:
        """What the last, shorter group stands for; None where the padding is wrong."""
        missing = -len(self._rest) % 4
        if missing == 3 or (self._ended and self._padding != missing):
            return None
        return _decoded(self._rest + b"=" * missing) if self._rest else b""

    def _decode(self, part: bytes) -> bytes | None:
        """Decode a part that is all alphabet; None, and nothing changed, where it is not."""
        if b"=" in part:
            return None
        if b"-" in part or b"_" in part:
            part = part.translate(_URL_SAFE)
        whole = self._rest + part if self._rest else part
        cut = len(whole) & ~3
        decoded = _decoded(whole if cut == len(whole) else whole[:cut])
        rest = whole[cut:]
        if decoded is None or (rest and _decoded(rest + b"A" * (4 - len(rest))) is None):
            return None
        self._rest = rest
        return decoded

    def _feed_irregular(self, text: bytes) -> bytes | None:
        """A part with white space, escapes or padding, cleaned of the first two."""
        body, equals, tail = text.partition(b"=")
        if equals:
            if tail.strip(b"="):
                return None
            self._padding += 1 + len(tail)
        if self._ended and body:
            return None
        self._ended = self._ended or bool(equals)
        return self._decode(body)


def _decoded(quads: bytes) -> bytes | None:
    try:
        return pybase64.b64decode(quads, validate=True)
    except ValueError:
        return None


def decode(text: str) -> bytes | None:
    """A whole base64 text; None where it is no base64."""
    decoder = Decoder()
    try:
        # Escapes are resolved already: a backslash in `text` is none.
        raw = text.encode("ascii").replace(b"\\", b"!")
    except UnicodeEncodeError:
        return None
    head, tail = decoder.feed(raw), decoder.finish()
    return None if head is None or tail is None else head + tail


_SHORT_PREFIX = re.compile(r"data:[^,]{0,250},", re.IGNORECASE)


def split_data_url(text: str) -> tuple[str, str] | None:
    """Prefix (with its comma) and content of a `data:` string; None where it is no such string."""
    found = _SHORT_PREFIX.match(text)
    return (found[0], text[found.end() :]) if found else None
