"""Decode pictures that are sent inline, as data: URLs, into the spool.

The splitter feeds a long one in parts as the body arrives; a short one, which stays in the JSON text, is
decoded when the picture is needed. Both go through the same Writer, so they have the same rules, limits and
errors.
"""

import json
import re
from dataclasses import dataclass

from faceapi import errors
from faceapi.errors import ApiError
from faceapi.request import base64_text
from faceapi.request.spool import Spool, SpoolSlice
from inference.images.headers import MAX_BYTES

_BAD_STRING = "a string with a control character, an invalid escape, or not in UTF-8"
_RAW_WHITE = (b"\t", b"\n", b"\r", b"\v", b"\f")
_CONTROL = bytes(range(0x20))
_ESCAPE = re.compile(rb'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')


@dataclass(frozen=True, slots=True)
class Blob:
    """A decoded string: where its bytes are in the spool, or the code and detail of what is wrong with it."""

    span: SpoolSlice
    code: int = 0
    detail: str = ""


def decode(text: str, spool: Spool) -> Blob:
    """Decode a whole string, as it is after the JSON was parsed."""
    content = json.dumps(text)[1:-1].encode()
    writer = Writer(content[: base64_text.MAX_PREFIX], spool, MAX_BYTES)
    writer.feed(content[writer.prefix_bytes :])
    return writer.finish()


class Writer:
    """Decodes the raw content of one JSON string, with its escapes, into the spool.

    `head` is the start of the content. Its first `prefix_bytes` must not be fed. A fault of the picture is
    stored in its Blob; only an invalid JSON string raises ApiError 4007.
    """

    def __init__(self, head: bytes, spool: Spool, max_bytes: int) -> None:
        self._spool = spool
        self._max_bytes = max_bytes
        self._start = spool.size
        self._decoder = base64_text.Decoder()
        self._utf8 = base64_text.utf8_checker()
        self._code = 0
        self._detail = ""
        self.is_inline = base64_text.is_data_url(head)
        self.prefix_bytes = 0
        prefix = head[: head.find(b",") + 1]
        if not self.is_inline:
            self._fail(errors.URL_WRONG, base64_text.without_prefix(head.decode("latin-1")))
        elif not base64_text.is_known_prefix(base64_text.unescaped(prefix).decode("latin-1")):
            self._fail(errors.BASE64, base64_text.UNKNOWN_PREFIX)
        else:
            self.prefix_bytes = len(prefix)

    def feed(self, part: bytes) -> None:
        """Decode a part that ends between escapes. Raises ApiError 4007 and 5003 (spool full)."""
        if not self._code:
            try:
                self._store(self._decoder.feed(part))
            except base64_text.NotBase64 as error:
                self._fail(errors.BASE64, str(error))
        if self._code:
            self._check(part)
        elif self._decoder.was_irregular and any(white in part for white in _RAW_WHITE):
            raise ApiError(errors.JSON, _BAD_STRING)  # the only error that base64 which decodes can have

    def finish(self) -> Blob:
        """Return the result after the last part."""
        if not self._code:
            try:
                self._store(self._decoder.finish())
            except base64_text.NotBase64 as error:
                self._fail(errors.BASE64, str(error))
        if not self._utf8(b"", True):
            raise ApiError(errors.JSON, "not UTF-8")
        length = 0 if self._code else self._spool.size - self._start
        return Blob(SpoolSlice(self._start, length), self._code, self._detail)

    def _fail(self, code: int, detail: str) -> None:
        """Note what is wrong; nothing more is stored."""
        self._code, self._detail = code, detail

    def _store(self, decoded: bytes) -> None:
        if self._spool.size - self._start + len(decoded) > self._max_bytes:
            self._fail(errors.IMAGE_TOO_LARGE, f"more than {self._max_bytes} bytes")
        elif decoded:
            self._spool.write(decoded)

    def _check(self, part: bytes) -> None:
        """Raise ApiError 4007 unless the part, which is not base64, may be part of a JSON string."""
        if not _is_string_content(part) or not self._utf8(part, False):
            raise ApiError(errors.JSON, _BAD_STRING)


def _is_string_content(part: bytes) -> bool:
    """Return whether `part` is valid in a JSON string: no control character, no unknown escape."""
    if part.translate(None, _CONTROL) != part:
        return False
    if b"\\" not in part:
        return True
    escapes = _ESCAPE.findall(part)
    return len(escapes) + escapes.count(b"\\\\") == part.count(b"\\")
