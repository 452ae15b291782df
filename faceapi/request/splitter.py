"""Parse a JSON body in pieces, decoding long `data:` strings into the spool (docs/decisions/0100).

Such a string is lifted out of the text: a placeholder takes its place, with a random token for this body, so
that a client cannot forge one. The remaining text is parsed at the end. Memory is bounded by the sizes of a
piece and of the text, not of the body.

The parser accepts the same UTF-8 text as json.loads, except NaN and Infinity; the tests use json.loads as
their oracle. An error of a picture is stored in its Blob and raised when the picture is used, because its
index is not known before.
"""

import codecs
import json
import secrets
from typing import Any, NoReturn

from faceapi import errors
from faceapi.errors import ApiError
from faceapi.request import base64_text
from faceapi.request.data_url import Blob, Writer
from faceapi.request.spool import Spool

SHORT = 4096  # a string up to this many bytes always stays in the text
LONG = 64 * 1024  # a longer one is always lifted: no URL is as long, however it is escaped
MAX_TEXT_BYTES = 1024 * 1024

BLOCK = SHORT // 2  # a string longer than SHORT fills one, wherever it starts
MAX_VALUES = 20_000  # commas, colons, brackets and quotes of the text, which determine the time of json.loads
MAX_ESCAPES = 100_000
MAX_DIGITS = 1000
# Per piece, plus one in 20 bytes: base64 with escaped line ends, as .NET writes it, has one in 24.
FREE_ESCAPES = 16 * 1024

_DIGITS_AS_ZERO = bytes.maketrans(b"123456789", b"0" * 9)


def invalid_json(detail: str) -> ApiError:
    return ApiError(errors.JSON, detail)


class Splitter:
    """A streaming parser: call feed() with each piece in order, then close()."""

    def __init__(self, spool: Spool, *, max_blobs: int, max_blob_bytes: int) -> None:
        self._spool = spool
        self._max_blobs = max_blobs
        self._max_blob_bytes = max_blob_bytes
        self._token = secrets.token_hex(16)
        self._text = bytearray()
        self._size = 0  # bytes of the body so far
        self._held = b""  # the start of an escape that the last piece cut
        self._in_string = False
        self._string_at = 0  # where in the text the current string's content starts
        self._decided = False  # the start of the current string was examined: it is text
        self._lift: Writer | None = None
        self._pictures = 0
        self._lifted: list[tuple[int, int]] = []  # position in the text, bytes lifted before it
        self.blobs: list[Blob] = []

    def feed(self, piece: bytes) -> None:
        """Parse a piece. Raises ApiError 4007 (not JSON, too much text), 4015, 5003 (spool full)."""
        data = self._held + piece if self._held else piece
        self._held = b""
        self._size += len(piece)
        masked = data
        if b"\\" in data:  # rare, and this search is much faster than the three below
            if data.count(b"\\") > FREE_ESCAPES + len(data) // 20:
                raise invalid_json("more escapes than text or base64 need")
            masked = _masked(data)
        at, end = 0, len(data)
        while at < end:
            if self._in_string:
                at = self._inside(data, masked, at, end)
            else:
                at = self._between(data, masked, at, end)

    def close(self) -> Any:
        """Return the parsed body, in which each lifted string is a Blob. Raises ApiError 4007."""
        if self._in_string or self._held:
            raise invalid_json("the body ends inside a string")
        if sum(map(self._text.count, (b",", b":", b"[", b"{", b'"'))) > MAX_VALUES:
            raise invalid_json(f"more than {MAX_VALUES} commas, colons, brackets and quotes")
        if self._text.count(b"\\") > MAX_ESCAPES:
            raise invalid_json(f"more than {MAX_ESCAPES} backslashes besides the images")
        if b"0" * MAX_DIGITS in self._text.translate(_DIGITS_AS_ZERO):
            raise invalid_json("a number with too many digits")
        try:
            text = self._text.decode()
        except UnicodeDecodeError as error:
            raise invalid_json(f"not UTF-8{self._place(error.start)}") from None
        plain = text.removeprefix("\ufeff")
        if not plain.strip():
            raise invalid_json("the body is empty")
        try:
            return self._with_blobs(json.loads(plain, parse_constant=_refuse))
        except RecursionError:
            raise invalid_json("nested too deeply") from None
        except json.JSONDecodeError as error:
            # Its message names the rule and never quotes the text.
            before = text[: error.pos + len(text) - len(plain)]
            place = self._place(len(before.encode()))
            raise invalid_json(error.msg.removesuffix(" at") + place) from None
        except ValueError:
            raise invalid_json("a number with too many digits") from None

    def _place(self, at: int) -> str:
        """Return the position in the body of byte `at` of the text, for an error detail."""
        if b"\0" in self._text[:4] or self._text[:2] in (codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE):
            return ": it looks like UTF-16 or UTF-32, send UTF-8"
        missing = next((missing for place, missing in reversed(self._lifted) if place <= at), 0)
        return f" at byte {at + missing} of {self._size}"

    # --- between strings, and inside one -------------------------------------------

    def _between(self, data: bytes, masked: bytes, at: int, end: int) -> int:
        """Keep text up to the next string that may be long, and return where its content starts.

        A long string contains a whole block without a quote, so short strings are skipped without a test of
        each. `at` is outside a string.
        """
        block = -(-at // BLOCK) * BLOCK
        counted, is_inside = at, False  # whether `counted` is inside a string
        while block + BLOCK <= end:
            if masked.find(b'"', block, block + BLOCK) >= 0:
                block += BLOCK
                continue
            is_inside ^= masked.count(b'"', counted, block) % 2 == 1
            counted = block
            if is_inside:
                return self._enter(data, at, masked.rfind(b'"', at, block) + 1)
            block += BLOCK
        is_inside ^= masked.count(b'"', counted, end) % 2 == 1
        if not is_inside:
            self._keep(data[at:end])
            return end
        return self._enter(data, at, masked.rfind(b'"', at, end) + 1)

    def _enter(self, data: bytes, at: int, start: int) -> int:
        """Keep the text before a string whose content begins at `start`."""
        self._keep(data[at:start])
        self._in_string, self._decided, self._string_at = True, False, len(self._text)
        return start

    def _inside(self, data: bytes, masked: bytes, at: int, end: int) -> int:
        quote = masked.find(b'"', at)
        if quote < 0:
            safe = _before_cut_escape(masked, at, end)
            self._held = data[safe:]
            self._take(data[at:safe])
            return end
        self._take(data[at:quote])
        self._finish_string(self._size - end + quote)
        return quote + 1

    def _take(self, part: bytes) -> None:
        """Process a part of the current string that ends between escapes."""
        if self._lift is not None:
            self._lift.feed(part)
            return
        size = len(self._text) - self._string_at + len(part)
        if size > LONG or (size > SHORT and not self._decided):
            self._decided = True
            content = bytes(self._text[self._string_at :]) + part
            is_inline = base64_text.is_data_url(content[: base64_text.MAX_PREFIX])
            if is_inline or size > LONG:
                del self._text[self._string_at :]
                self._start_lift(content)
                return
        self._keep(part)

    def _start_lift(self, content: bytes) -> None:
        self._lift = Writer(content[: base64_text.MAX_PREFIX], self._spool, self._max_blob_bytes)
        self._pictures += self._lift.is_inline
        if self._pictures > self._max_blobs:
            raise ApiError(errors.TOO_MANY_IMAGES, f"more than {self._max_blobs} images")
        self._lift.feed(content[self._lift.prefix_bytes :])

    def _finish_string(self, quote_at: int) -> None:
        self._in_string = False
        if self._lift is not None:
            self._text += b"%s%d" % (self._token.encode(), len(self.blobs))
            self._lifted.append((len(self._text), quote_at - len(self._text)))
            self.blobs.append(self._lift.finish())
            self._lift = None
        self._text += b'"'

    def _keep(self, part: bytes) -> None:
        self._text += part
        if len(self._text) > MAX_TEXT_BYTES:
            raise invalid_json(f"more than {MAX_TEXT_BYTES} bytes of JSON besides the images")

    def _with_blobs(self, value: Any) -> Any:
        """Return `value` with each placeholder string replaced by its Blob. Keys stay as they are."""
        if not self.blobs:
            return value
        if isinstance(value, str):
            return self.blobs[int(value[len(self._token) :])] if value.startswith(self._token) else value
        if isinstance(value, list):
            return [self._with_blobs(item) for item in value]
        if isinstance(value, dict):
            return {key: self._with_blobs(item) for key, item in value.items()}
        return value


def _masked(data: bytes) -> bytes:
    """Blank out escaped backslashes and quotes, so that each quote left begins or ends a string.

    `data` does not start in the middle of an escape. After a backslash outside a string the result may be
    wrong; the parser rejects such a text anyway.
    """
    if b'\\"' not in data and b"\\\\" not in data[-6:]:
        return data  # no quote is escaped, and an escape cut at the end is unambiguous
    return data.replace(b"\\\\", b"  ").replace(b'\\"', b"  ")


def _before_cut_escape(masked: bytes, at: int, end: int) -> int:
    """Return `end`, or the start of the escape that `end` would cut."""
    last = masked.rfind(b"\\", max(at, end - 5), end)
    if last < 0:
        return end
    length = 6 if masked[last + 1 : last + 2] == b"u" else 2
    return last if last + length > end else end


def _refuse(constant: str) -> NoReturn:
    raise invalid_json(f"{constant} is not valid JSON")
