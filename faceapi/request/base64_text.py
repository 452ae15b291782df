"""Decode base64 in the variants that clients send in a JSON string.

Standard or URL-safe alphabet, padded or not, with white space. Pure functions of bytes. A part is a piece of
the raw content of a JSON string, with its escapes.
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
NO_PREFIX = f"neither an http(s) URL nor a string that starts with {PREFIXES[0]}"
MAX_PREFIX = 256  # bytes of the raw string in which the prefix must end

_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_ESCAPE = re.compile(rb'\\["/bfnrtu]')
_WHITE = b" \t\r\n\f\v"
_ODD = re.compile(r"[^0-9A-Za-z+/_=-]")


LOST_PLUS = (
    "base64 with spaces, which were '+' before URL-decoding; send it as JSON, or in the URL-safe alphabet"
)


class NotBase64(ValueError):
    """The text cannot be decoded; the message says why and quotes one character at most."""


def is_data_url(head: bytes) -> bool:
    """Return whether a string is meant as an inline picture, given its first raw bytes."""
    comma = head.find(b",")
    start = unescaped(head[: comma + 1]) if comma >= 0 else head
    return start.lstrip().lower().startswith(b"data:")


def is_known_prefix(prefix: str) -> bool:
    """Return whether a text up to and including its comma is a known prefix."""
    return "".join(prefix.lower().split()) in PREFIXES


def without_prefix(head: str) -> str:
    """Return the error detail for a string that is neither a URL nor a data: string, given its start."""
    if head.startswith(("/9j/", "_9j_", "iVBORw0KGgo")):  # how base64 of a JPEG or a PNG starts
        return f"base64 without its prefix {PREFIXES[0]}"
    return NO_PREFIX


def utf8_checker() -> Callable[[bytes, bool], bool]:
    """Return a function that takes a piece (and whether it is the last) and returns whether all is UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()

    def is_utf8(piece: bytes, final: bool) -> bool:
        try:
            decoder.decode(piece, final)
        except UnicodeDecodeError:
            return False
        return True

    return is_utf8


def unescaped(part: bytes) -> bytes:
    """Return the bytes of a part of a JSON string, unescaped; the part itself if an escape is invalid."""
    if b"\\" not in part:
        return part
    escapes = _ESCAPE.findall(part)
    if len(escapes) == part.count(b"\\") and part.isascii():  # an escaped backslash would count twice
        if b"\\/" in escapes:
            part = part.replace(b"\\/", b"/")
        try:  # five times as fast as the JSON parser
            return part.decode("unicode_escape").encode("utf-8", "surrogatepass") if b"\\" in part else part
        except ValueError:  # four hex digits are missing
            return part
    try:
        text: str = json.loads(b'"' + part + b'"', strict=False)
        return text.encode("utf-8", "surrogatepass")
    except ValueError:
        return part


class Decoder:
    """Decodes base64 fed in parts.

    `was_irregular` is whether the last part had characters other than those of the base64 alphabet.
    """

    def __init__(self) -> None:
        self._rest = b""  # fewer than four characters of the alphabet
        self._padding = 0
        self._ended = False
        self._spaces = _Spaces()
        self.was_irregular = False

    def feed(self, part: bytes) -> bytes:
        """Return the bytes that are complete with this part. Raises NotBase64."""
        text = part.rstrip(b"=")  # padding is allowed at the end of the last part
        decoded = None if self._ended or b"\\" in text else self._decode(text)
        self.was_irregular = decoded is None
        if decoded is not None:
            self._close(len(part) - len(text))
            self._spaces.feed(text)
        else:
            plain = unescaped(part)
            self._spaces.feed(plain)
            decoded = self._feed_irregular(plain.translate(None, _WHITE))
        return decoded

    def finish(self) -> bytes:
        """Decode the last, shorter group. Raises NotBase64 if it or its padding is wrong."""
        if self._spaces.finish():
            raise NotBase64(LOST_PLUS)
        missing = -len(self._rest) % 4
        if missing == 3:
            raise NotBase64("base64 that is cut off: a single character is left over")
        if self._ended and self._padding != missing:
            raise NotBase64(f"base64 that ends with {self._padding} '=' instead of {missing}")
        decoded = _decoded(self._rest + b"=" * missing)
        if decoded is None:
            raise NotBase64("not valid base64")
        return decoded

    def _decode(self, part: bytes) -> bytes | None:
        """Decode a part of alphabet characters only; return None and change nothing for any other part."""
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

    def _feed_irregular(self, text: bytes) -> bytes:
        """Decode a part with white space, escapes or padding."""
        body, equals, tail = text.partition(b"=")
        decoded = None
        if not tail.strip(b"=") and not (self._ended and body):
            decoded = self._decode(body)
        if decoded is None:
            raise NotBase64(_fault(text))
        self._close(len(equals) + len(tail))
        return decoded

    def _close(self, padding: int) -> None:
        """Check that only more padding follows padding."""
        self._padding += padding
        self._ended = self._ended or padding > 0


class _Spaces:
    """Detect whether spaces inside a base64 text, fed in parts, wrap lines or were "+" before URL-decoding.

    Wrapped lines have one width, a multiple of 4, while the distance between pluses varies. Only the first
    MAX_RUNS runs are examined, so that a text full of spaces costs no step for each of them.
    """

    MAX_RUNS = 1000

    def __init__(self) -> None:
        self._left = self.MAX_RUNS
        self._run = 0  # characters since the last space
        self._width = 0  # of the first run
        self._has_ended = False  # by a run of another width, which can only be the last line
        self.are_lost_pluses = False

    def feed(self, text: bytes) -> None:
        """Take the next part. A part without spaces costs one search."""
        if self.are_lost_pluses or not self._left:
            return
        if b" " not in text:
            self._run += len(text)
            return
        first, *others = text.split(b" ", self._left)
        self._left -= len(others)
        self._run += len(first.translate(None, _WHITE))
        for run in others:
            self._close()
            self._run = len(run.translate(None, _WHITE))

    def finish(self) -> bool:
        """Return whether the spaces are lost pluses, after the last part."""
        self._close()
        return self.are_lost_pluses

    def _close(self) -> None:
        if self._run:
            self.are_lost_pluses |= self._has_ended
            self._width = self._width or self._run
            self._has_ended = self._run != self._width or self._width % 4 > 0
            self._run = 0


def _fault(text: bytes) -> str:
    """Describe the first invalid character."""
    odd = _ODD.search(text.decode("utf-8", "replace"))
    return f"{odd[0]!a} is not a base64 character" if odd else "base64 with '=' before its end"


def _decoded(quads: bytes) -> bytes | None:
    try:
        return pybase64.b64decode(quads, validate=True)
    except ValueError:
        return None
