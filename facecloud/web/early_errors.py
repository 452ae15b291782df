"""Complete HTTP replies that the web worker sends without a thread or the application."""

from faceapi import errors
from faceapi.errors import ApiError
from faceapi.errors.details import in_chinese
from faceapi.errors.replies import error_reply


def refusal(detail: str, request_id: str) -> bytes:
    """Return the reply to a request that could not be parsed; `detail` is sent to the client.

    The details of gunicorn's parser have no translation, so the Chinese one quotes them.
    """
    detail = detail[:200]
    detail_zh = in_chinese(detail) or f"HTTP 解析器的说明：{detail}"
    return error_reply(ApiError(errors.HTTP, detail, detail_zh), request_id).as_bytes()


def overloaded(request_id: str) -> bytes:
    """Return the reply to an API call for which no thread is free."""
    error = ApiError(errors.OVERLOADED, "too many concurrent requests", retry_after_s=1)
    return error_reply(error, request_id).as_bytes()


def plain(status: str, text: str) -> bytes:
    """Return a reply of plain text."""
    lines = [
        f"HTTP/1.1 {status}",
        "Connection: close",
        "Retry-After: 1",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(text.encode())}",
    ]
    return "\r\n".join([*lines, "", text]).encode()


BUSY = plain("503 Service Unavailable", "服务繁忙，请稍后重试。 The service is busy; try again shortly.\n")
TOO_MANY = plain("429 Too Many Requests", "Too many connections from one address.\n")
