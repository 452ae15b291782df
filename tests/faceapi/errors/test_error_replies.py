"""A refused call gets the same form of reply from every part of the server."""

import json
from email.utils import parsedate_to_datetime

import pytest

from faceapi import errors, schema
from faceapi.errors import TABLE, ApiError
from faceapi.errors.replies import error_reply
from faceapi.middleware import unknown_address
from faceapi.request.body import MAX_IMAGES
from faceapi.request.images import MAX_PAIRS
from facecloud.web import early_errors
from inference.images.formats.common import MAX_SIDE_PX, MIN_SIDE_PX
from inference.images.headers import MAX_BYTES


def parts(reply: bytes) -> tuple[str, dict[str, str], bytes]:
    """Return status line, headers and content of a reply in HTTP/1.1."""
    head, _end, content = reply.partition(b"\r\n\r\n")
    status_line, *lines = head.decode().split("\r\n")
    return status_line, dict(line.split(": ", 1) for line in lines), content


@pytest.mark.parametrize("code", [errors.BAD_SIGNATURE, errors.RATE, errors.OVERLOADED, errors.PATH])
def test_django_and_the_socket_get_the_same_reply(code: int) -> None:
    reply = error_reply(ApiError(code, "why", retry_after_s=3), "id")
    response = reply.as_response()
    status_line, headers, content = parts(reply.as_bytes())
    assert status_line == f"HTTP/1.1 {response.status_code} {response.reason_phrase}"
    assert headers.pop("Connection") == "close"
    assert parsedate_to_datetime(headers.pop("Date"))
    assert parts(reply.as_bytes(keeps_open=True))[1]["Connection"] == "keep-alive"
    assert headers == dict(response.headers) == dict(reply.headers)
    assert content == response.content
    assert (int(headers["Content-Length"]), headers["Retry-After"]) == (len(content), "3")
    assert ("WWW-Authenticate" in headers) == (response.status_code == 401)


def test_middleware_and_web_worker_write_the_envelope_alike() -> None:
    not_found = unknown_address("/v1/face_detekt.json")
    _status, headers, invalid = parts(early_errors.refusal("no Host", "id"))
    for content in (not_found.content, invalid):
        body = json.loads(content)
        assert content == json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        assert list(body)[:3] == ["code", "message", "request_id"]
    assert set(headers) - {"Connection", "Date", "Server"} == set(not_found.headers)


def test_every_status_of_the_table_has_a_reason_phrase() -> None:
    for code in TABLE:
        status, _space, phrase = error_reply(ApiError(code), "id").status_line.partition(" ")
        assert status.isdigit()
        assert phrase


def test_a_lone_surrogate_in_a_detail_can_be_sent() -> None:
    content = error_reply(ApiError(errors.JSON, "a key \ud800"), "id").content
    assert json.loads(content)["detail"] == "a key ?"


def test_the_table_states_the_limits_that_are_enforced() -> None:
    def states(code: int, *limits: object) -> bool:
        row = TABLE[code]
        return all(str(limit) in text for limit in limits for text in (row.cause_zh, row.cause_en))

    assert states(errors.DIMENSIONS, MIN_SIDE_PX, MAX_SIDE_PX)
    assert states(errors.IMAGE_TOO_LARGE, f"{MAX_BYTES // 2**20} MiB")
    assert states(errors.TOO_MANY_IMAGES, MAX_IMAGES, MAX_PAIRS)
    described = str(schema.IMAGE["description"])
    assert (
        f"{MAX_BYTES // 2**20} MiB, {MIN_SIDE_PX}x{MIN_SIDE_PX} to {MAX_SIDE_PX}x{MAX_SIDE_PX}" in described
    )
