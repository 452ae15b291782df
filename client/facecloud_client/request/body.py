"""The request body, streamed twice from the files: once for its SHA-1, once for the upload.

A request may carry a hundred pictures of 10 MiB; as one string it would take 1.4 GB of memory.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence

from facecloud_client.errors import InputError
from facecloud_client.i18n import say
from facecloud_client.request.sources import Source

PREFIX = b'"data:application/octet-stream;base64,'
END = b'], "options": {"quality": true}}'  # adds the reasons for poor quality to the results
CHUNK_BYTES = 3 * 64 * 1024  # a multiple of 3, so that pieces of base64 can be joined without padding

Item = Source | tuple[Source, Source]  # one picture, or one pair for face_compare


def names(item: Item) -> list[str]:
    """Return the names of a picture, or of the two pictures of a pair."""
    return [item.name] if isinstance(item, Source) else [item[0].name, item[1].name]


class Body:
    """The JSON body `{"data": [...], ...}` of pictures or pairs. Iterating yields its bytes in pieces."""

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
    """Yield the URL-safe base64 of one picture. Raises InputError if the file cannot be read."""
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
