"""Classification of requests by their HTTP head. Pure functions of bytes.

This only selects a thread pool; gunicorn's parser validates the request. A misclassified request waits in the
wrong pool, but has no other effect.
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
    """The kinds of requests, each with a thread pool of its own."""

    HEALTH = "health"  # served without any other process
    READY = "ready"  # readiness and metrics, which use the database
    API = "api"
    PAGE = "page"
    UPLOAD = "upload"  # a page with a body too large to buffer in memory


@dataclass(frozen=True, slots=True)
class Head:
    """The kind of a request, and the length of the body to receive before it gets a thread, or 0."""

    kind: Kind
    body_bytes: int = 0


def read(head: bytes, *, most_bytes: int) -> Head:
    """Classify a request by its head, up to and including END; page bodies over `most_bytes` are uploads."""
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
