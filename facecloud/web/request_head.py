"""Classification of requests by their HTTP head. Pure functions of bytes.

This only selects a thread pool; gunicorn's parser validates the request. A misclassified request waits in the
wrong pool, but has no other effect.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

END = b"\r\n\r\n"
_TARGET = re.compile(rb"[A-Za-z]{1,20} (?:https?://[^/ ]*)?([^ ?\r\n]{0,64})")
_HEALTH = re.compile(rb"/healthz$")
_READY = re.compile(rb"/(?:readyz|metrics)$")
_API = re.compile(rb"/*(?:(?!api/schema)api|face|v1)(?:/|$)|/*face_")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*(?=\r\n)", re.IGNORECASE)
_NOT_PLAIN = re.compile(rb"\r\n(?:transfer-encoding|expect):", re.IGNORECASE)
_CALL = re.compile(rb"POST (/[!-~]{0,2000}) HTTP/1\.1\Z")
_HEADER = re.compile(rb"([A-Za-z0-9-]{1,64}):[ \t]*([\t -~]{0,4000}?)[ \t]*\Z")
MAX_HEADERS = 32
# Headers that change how the request is read; a request with one of them gets a thread.
_SPECIAL = frozenset({"transfer-encoding", "expect", "upgrade", "trailer", "te"})


class Kind(StrEnum):
    """The kinds of requests, each with its own thread pool."""

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


def read(head: bytes, *, max_bytes: int) -> Head:
    """Classify a request by its head, up to and including END; page bodies over `max_bytes` are uploads."""
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
    return Head(Kind.PAGE, body_bytes) if body_bytes <= max_bytes else Head(Kind.UPLOAD)


def plain_call(head: bytes) -> dict[str, Any] | None:
    """Return the WSGI variables of a simple, unambiguous POST request; None for any other.

    Each header occurs once, its name has letters, digits and hyphens only, its value is printable ASCII, the
    body has a length, and the connection stays open. gunicorn's parser handles all other requests.
    """
    first, *lines = head[: -len(END)].split(b"\r\n")
    call = _CALL.match(first)
    if call is None or len(lines) > MAX_HEADERS:
        return None
    headers: dict[str, str] = {}
    for line in lines:
        found = _HEADER.match(line)
        name = found[1].decode().lower() if found else ""
        if found is None or name in headers or name in _SPECIAL:
            return None
        headers[name] = found[2].decode()
    if "host" not in headers or headers.get("connection", "keep-alive").lower() != "keep-alive":
        return None
    length = headers.pop("content-length", "")
    if not 0 < len(length) <= 18 or not length.isdigit():
        return None
    target = call[1].decode()
    return {
        "REQUEST_METHOD": "POST",
        "RAW_URI": target,
        "PATH_INFO": target.partition("?")[0],
        "CONTENT_LENGTH": length,
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
    }
