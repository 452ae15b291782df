"""Build the error replies of the API: status, headers and envelope.

The views, the middleware, load shedding and the web worker refuse calls at different times and send bytes in
different ways. All of them use this module, so that clients get one format.
"""

import json
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

from django.http import HttpResponse

from faceapi.errors import ApiError


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """The reply to a refused call; `headers` include its length and request id."""

    status: int
    headers: tuple[tuple[str, str], ...]
    content: bytes

    @property
    def status_line(self) -> str:
        """The status and its reason phrase, as WSGI and HTTP/1.1 expect them."""
        return f"{self.status} {HTTPStatus(self.status).phrase}"

    def as_response(self) -> HttpResponse:
        """Return the reply for Django."""
        return HttpResponse(self.content, status=self.status, headers=dict(self.headers))

    def as_bytes(self, *, keeps_open: bool = False) -> bytes:
        """Return the complete HTTP/1.1 reply. With `keeps_open` the connection stays open afterwards."""
        connection = "keep-alive" if keeps_open else "close"
        lines = [
            f"HTTP/1.1 {self.status_line}",
            f"Date: {formatdate(usegmt=True)}",
            f"Connection: {connection}",
        ]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join([*lines, "", ""]).encode() + self.content


def error_reply(error: ApiError, request_id: str) -> ErrorReply:
    """Build the reply to a refused call."""
    # "replace": a detail may quote a lone surrogate of the request.
    content = json.dumps(envelope(error, request_id), ensure_ascii=False, separators=(",", ":"))
    encoded = content.encode("utf-8", "replace")
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(encoded))),
        ("X-Request-Id", request_id),
    ]
    if error.retry_after_s is not None:
        headers.append(("Retry-After", str(error.retry_after_s)))
    if error.row.http == HTTPStatus.UNAUTHORIZED:
        headers.append(("WWW-Authenticate", "CTYUN"))
    return ErrorReply(error.row.http, tuple(headers), encoded)


def envelope(error: ApiError, request_id: str) -> dict[str, object]:
    """Return the body of an error reply."""
    body: dict[str, object] = {"code": error.code, "message": error.row.zh, "request_id": request_id}
    if error.detail:
        body["detail"] = error.detail
    if error.detail_zh:
        body["detail_zh"] = error.detail_zh
    if error.index is not None:
        body["index"] = error.index
    if error.signed is not None:
        body["signed"] = dict(error.signed)
    if error.quality is not None:
        body["quality"] = dict(error.quality)
    body["remedy"], body["remedy_en"] = error.row.remedy_zh, error.row.remedy_en
    return body
