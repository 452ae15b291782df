"""Requests that reach no API: unknown paths and invalid HTTP; and any Host."""

import http.client
import json
import socket

import pytest

from accounts.models import App
from billing import quota
from embedded.services.managed_process import Process
from faceapi.middleware import ADDRESSES
from tests.faceapi.conftest import DETECT, Answer, Caller, encode, inline, read_answer, read_answers

CANARY = b"CANARY-OF-A-BODY-51c2"


def told(caller: Caller, request: bytes) -> Answer:
    with caller.raw() as sock:
        sock.sendall(request)
        sock.shutdown(socket.SHUT_WR)
        return read_answer(sock)


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/api/v1/face_detect", ADDRESSES[0]),
        ("/api/v1/face_detect.json/", ADDRESSES[0]),
        ("/api/v1/FACE_DETECT.json", ADDRESSES[0]),
        ("/api/v2/face_analyse.json", ADDRESSES[1]),
        ("//api/v1//face_compare.json", ADDRESSES[2]),
        ("/face/face_compare.json", ADDRESSES[2]),
        ("/face_compare.json", ADDRESSES[2]),
        ("/v1/face%ffdetect.json", ADDRESSES[0]),
        ("/api/v1/face_detect.json%0a", ADDRESSES[0]),
        ("/v1/", None),
        ("/api/", None),
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_4020_suggests_the_intended_path(caller: Caller, method: str, path: str, meant: str | None) -> None:
    answer = caller.send(b"{}", path, method=method)
    assert (answer.code, answer.status) == (4020, 404)
    assert answer.json.get("detail") == (f"did you mean {meant}?" if meant else None)
    assert answer.headers["X-Request-Id"] == answer.json["request_id"]


@pytest.mark.parametrize("path", ["/no-such-page", "/docs/no-such-page/", "/console/face_detect/"])
def test_an_unknown_address_outside_the_api_gets_an_html_page(caller: Caller, path: str) -> None:
    connection = http.client.HTTPConnection(caller.address, timeout=10)
    connection.request("GET", path)
    reply = connection.getresponse()
    assert (reply.status, reply.headers.get_content_type()) == (404, "text/html")
    connection.close()


START = f"POST {DETECT} HTTP/1.1\r\nHost: x\r\n".encode()
MALFORMED = {
    "no HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no version": f"POST {DETECT}\r\n\r\n".encode(),
    "an unknown version": f"POST {DETECT} HTTP/9.9\r\n\r\n".encode(),
    "a method in lower case": START.replace(b"POST", b"post") + b"\r\n",
    "a path that is not percent-encoded": START.replace(b".json", ".json?人".encode()) + b"\r\n",
    "a line without a colon": START + b"nothing\r\n\r\n",
    "a space before the colon": START + b"X : y\r\n\r\n",
    "a folded line": START + b"X: y\r\n z\r\n\r\n",
    "a zero byte": START + b"X: y\0z\r\n\r\n",
    "line feeds alone": START.replace(b"\r", b"") + b"\n",
    "Host twice": START + b"Host: y\r\n\r\n",
    "two lengths": START + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a length and chunks": START + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a negative length": START + b"Content-Length: -1\r\n\r\n",
    "a length in hex": START + b"Content-Length: 0x2\r\n\r\n{}",
    "an unknown transfer coding": START + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": START.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown expectation": START + b"Expect: 200-ok\r\n\r\n",
    "a long address": START.replace(b".json", b".json?" + b"a" * 9000) + b"\r\n",
    "a long header": START + b"X: " + b"y" * 9000 + b"\r\n\r\n",
    "many headers": START + b"".join(b"X-%d: y\r\n" % i for i in range(70)) + b"\r\n",
}


@pytest.mark.parametrize("what", MALFORMED)
def test_4021_for_invalid_http(caller: Caller, app: App, what: str) -> None:
    answer = told(caller, MALFORMED[what])
    assert (answer.code, answer.status) == (4021, 400)
    assert answer.headers["Connection"] == "close"
    assert answer.headers["X-Request-Id"] == answer.json["request_id"]
    assert answer.json["detail"]
    assert not app.calls.exists()


def test_bytes_after_the_body_are_not_logged(caller: Caller, tight_site: Process) -> None:
    """They are parsed as the next request and refused, and may belong to a picture."""
    body = b"{}" + CANARY + b"\r\nX\r\n\r\n"
    with caller.raw() as sock:
        sock.sendall(caller.head(body[:2], "Content-Length: 2") + body)
        first, second = read_answers(sock, 2)
    assert (first.code, second.code) == (4001, 4021)
    log = tight_site.log.read_bytes()
    assert second.json["request_id"].encode() in log
    assert CANARY not in log


@pytest.mark.parametrize("host", ["192.0.2.7:8000", "api.example.org", ""])
def test_any_host_may_be_called(caller: Caller, host: str) -> None:
    """The Host header is not signed and not used by the API."""
    assert caller.call([inline(encode())], Host=host or "x").code == 0
    connection = http.client.HTTPConnection(caller.address, timeout=10)
    connection.request("GET", "/healthz", headers={"Host": host or "x"})
    assert json.loads(connection.getresponse().read()) == {"status": "ok"}
    connection.close()


def test_headers_that_name_the_scheme_may_contradict_each_other(caller: Caller) -> None:
    """Some proxies send both; X-Forwarded-Proto counts."""
    answer = caller.call([inline(encode())], X_Forwarded_Proto="https", X_Forwarded_Ssl="off")
    assert answer.code == 0
    answer = caller.call([inline(encode())], X_Forwarded_Proto="http", X_Forwarded_Ssl="on")
    assert answer.code == 0


def test_an_answer_has_no_cookie_and_no_headers_of_the_pages(caller: Caller) -> None:
    answer = caller.call([inline(encode())], Cookie="sessionid=x; csrftoken=y; django_language=en")
    assert answer.code == 0
    assert not {"Set-Cookie", "Content-Security-Policy", "Content-Language"} & set(answer.headers)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Content-Length" in answer.headers


def test_pipelined_requests_are_answered_in_order(caller: Caller, app: App) -> None:
    """Each has its own signature, and a refusal does not affect the next one."""
    body = caller.body([inline(encode())])
    good = caller.head(body, f"Content-Length: {len(body)}") + body
    again = caller.head(body, f"Content-Length: {len(body)}") + body
    bad = START + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    with caller.raw() as sock:
        sock.sendall(good + bad + again)
        statuses = [answer.status for answer in read_answers(sock, 3)]
    assert statuses == [200, 401, 200]
    assert app.debits.filter(state__in=quota.SETTLING_OR_SETTLED).count() == 2


def test_a_call_refused_before_its_malformed_body_is_answered_once(caller: Caller) -> None:
    """The call has no Authorization; its malformed chunks are detected after the reply and not reported."""
    with caller.raw() as sock:
        sock.sendall(START + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nnot a chunk\r\n0\r\n\r\n")
        replies = b""
        while piece := sock.recv(65536):
            replies += piece
    assert replies.count(b"HTTP/1.1 ") == 1
    assert b'"code": 4101' in replies or b'"code":4101' in replies
