"""What the head of an HTTP request says about where it is served. Pure functions of bytes.

Only a sorting before gunicorn's parser, which judges the request: a head that is sorted wrongly waits among
the wrong ones, and nothing more.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

END = b"\r\n\r\n"
_TARGET = re.compile(rb"[A-Za-z]{1,20} (?:https?://[^/ ]*)?([^ ?\r\n]{0,64})")
_HEALTH = re.compile(rb"/healthz$")
_READY = re.compile(rb"/(?:readyz|metrics)$")
_API = re.compile(rb"/*(?:(?!api/schema)api|face|v1)(?:/|$)|/*face_")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*(?=\r\n)", re.IGNORECASE)
_NOT_PLAIN = re.compile(rb"\r\n(?:transfer-encoding|expect):", re.IGNORECASE)


class Kind(StrEnum):
    """The groups of requests that cannot take each other's places."""

    HEALTH = "health"  # answered by the process alone
    READY = "ready"  # probes and metrics, which use the database
    API = "api"
    PAGE = "page"
    UPLOAD = "upload"  # a page with a body too large to wait for in memory


@dataclass(frozen=True, slots=True)
class Head:
    """`body_bytes`: the length of the body if it is to be received before a thread is taken, else 0."""

    kind: Kind
    body_bytes: int = 0


def read(head: bytes, *, most_bytes: int) -> Head:
    """Sort a request by its head, which ends with END. Bodies of pages up to `most_bytes` are waited for."""
    target = _TARGET.match(head)
    path = target[1] if target else b""
    if _HEALTH.match(path):
        return Head(Kind.HEALTH)
    if _READY.match(path):
        return Head(Kind.READY)
    if _API.match(path):
        return Head(Kind.API)
    if _NOT_PLAIN.search(head):
        return Head(Kind.UPLOAD)
    length = _LENGTH.search(head)
    body_bytes = int(length[1]) if length else 0
    return Head(Kind.PAGE, body_bytes) if body_bytes <= most_bytes else Head(Kind.UPLOAD)
