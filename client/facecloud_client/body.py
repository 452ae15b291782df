"""The request body, built twice from the files and never held whole: once for its SHA-1, once for the wire.

A request may carry a hundred pictures of 10 MiB; as one string it would take 1.4 GB.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence

from facecloud_client.errors import InputError
from facecloud_client.sources import Source
from facecloud_client.words import say

PREFIX = b'"data:application/octet-stream;base64,'
END = b'], "options": {"quality": true}}'  # results then say what a poor picture lacks
CHUNK_BYTES = 3 * 64 * 1024  # a multiple of 3, so that the pieces of base64 join without padding

Item = Source | tuple[Source, Source]  # one picture, or one pair for face_compare


def names(item: Item) -> list[str]:
    """The names of one picture, or of a pair."""
    return [item.name] if isinstance(item, Source) else [item[0].name, item[1].name]


class Body:
    """`{"data": [...], ...}` over pictures or pairs. Iterating yields its bytes in pieces."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._parts: list[bytes | Source] = [b'{"data": [']
        for position, item in enumerate(items):
            self._parts.append(b", " if position else b"")
            if isinstance(item, Source):
                self._add(item)
            else:
                self._parts.append(b"[")
                self._add(item[0])
                self._parts.append(b", ")
                self._add(item[1])
                self._parts.append(b"]")
        self._parts.append(END)
        digest, self.length_bytes = hashlib.sha1(usedforsecurity=False), 0
        for piece in self:
            digest.update(piece)
            self.length_bytes += len(piece)
        self.sha1_hex = digest.hexdigest()

    def _add(self, source: Source) -> None:
        if source.url is not None:
            self._parts.append(json.dumps(source.url).encode())
        else:
            self._parts.extend([PREFIX, source, b'"'])

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            if isinstance(part, Source):
                yield from _base64_pieces(part)
            elif part:
                yield part


def _base64_pieces(source: Source) -> Iterator[bytes]:
    """URL-safe base64 of one picture, as the manual asks for. Raises InputError for an unreadable file."""
    if source.path is None:
        yield base64.urlsafe_b64encode(source.data or b"")
        return
    try:
        with source.path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield base64.urlsafe_b64encode(chunk)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(source.name, say(f"读取失败：{reason}", f"cannot be read: {reason}")) from error
