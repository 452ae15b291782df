"""The client with an unreliable network and service."""

import hashlib
import json
from collections.abc import Mapping

import httpx
import pytest
from django.conf import settings
from facecloud_client import ApiError, FaceClient, QuotaError, ServiceError, TransportError
from facecloud_client.client import Content, read_timeout_s
from facecloud_client.request.batches import MAX_IMAGES, MAX_PAIRS
from facecloud_client.request.body import Body
from facecloud_client.request.retry import RETRY_FOR_S
from facecloud_client.request.signing import sign
from facecloud_client.request.sources import Source

from faceapi.request import fetching
from tests.client.scripted import OK, Scripted, reply, scripted

APP_KEY, SECRET = "0123456789abcdef", "0123456789abcdef0123456789abcdef"
BUSY = {"code": 5003, "message": "服务繁忙，请稍后重试", "request_id": "r-1"}
TOO_FAST = {"code": 4291, "message": "请求过于频繁", "request_id": "r-2"}


def client_of(server: Scripted) -> tuple[FaceClient, list[float]]:
    """Return a client that records its pauses instead of sleeping."""
    pauses: list[float] = []
    return FaceClient(APP_KEY, SECRET, server.url, sleep=pauses.append), pauses


def test_a_busy_service_is_retried_after_retry_after() -> None:
    busy = reply("503 Service Unavailable", BUSY, "Retry-After: 7")
    with scripted(busy, busy, reply("200 OK", OK)) as server:
        client, pauses = client_of(server)
        assert client.detect([b"picture"])[0].faces == ()
    assert len(pauses) == 2
    assert all(7 <= pause_s <= 7.7 for pause_s in pauses)


def test_attempts_have_new_signatures_and_the_same_idempotency_key() -> None:
    with scripted(reply("503 Service Unavailable", BUSY, "Retry-After: 0"), reply("200 OK", OK)) as server:
        client, _ = client_of(server)
        client.detect([b"one"])
        client.detect([b"one"])
    first, second, third = server.requests
    assert first.body == second.body
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.headers["idempotency-key"] != third.headers["idempotency-key"]
    for request in server.requests:
        dt = request.headers["x-ctyun-dt"]
        signature = sign(SECRET, "POST", request.path, "", dt, hashlib.sha1(request.body).hexdigest())
        assert request.headers["authorization"] == f"CTYUN {APP_KEY}:{signature}"


def test_too_many_requests_is_retried_and_finally_reported() -> None:
    with scripted(reply("429 Too Many Requests", TOO_FAST, "Retry-After: 1")) as server:
        client, pauses = client_of(server)
        with pytest.raises(QuotaError) as refused:
            client.detect([b"picture"])
    assert len(server.requests) == len(pauses) + 1
    assert RETRY_FOR_S - 20 < sum(pauses) <= RETRY_FOR_S
    assert refused.value.code == 4291
    assert refused.value.request_id == "r-2"


def test_a_service_that_is_busy_for_a_minute_serves_the_call() -> None:
    busy = reply("503 Service Unavailable", BUSY, "Retry-After: 1")
    with scripted(*[busy] * 10, reply("200 OK", OK)) as server:
        client, pauses = client_of(server)
        assert len(client.detect([b"picture"])) == 1
    assert len(pauses) == 10


def test_a_call_in_progress_is_waited_for_as_long_as_it_may_take() -> None:
    in_progress = reply("429 Too Many Requests", {"code": 4292, "message": "正在处理"}, "Retry-After: 1")
    with scripted(in_progress) as server:
        client, pauses = client_of(server)
        with pytest.raises(QuotaError):
            client.detect([b"picture"] * MAX_IMAGES, batch=MAX_IMAGES)
    assert read_timeout_s(MAX_IMAGES) - 20 < sum(pauses) <= read_timeout_s(MAX_IMAGES)


def test_an_error_message_is_in_the_chosen_language(monkeypatch: pytest.MonkeyPatch) -> None:
    spent = {
        "code": 4202,
        "message": "本计费周期调用量已用完",
        "remedy": "再次购买",
        "remedy_en": "Buy again",
    }
    with scripted(reply("402 Payment Required", spent)) as server:
        client, _ = client_of(server)
        with pytest.raises(QuotaError) as refused:
            client.detect([b"picture"])
    assert str(refused.value).splitlines() == ["4202 本计费周期调用量已用完", "再次购买"]
    monkeypatch.setenv("FACECLOUD_LANG", "en")
    assert str(refused.value).splitlines() == [
        "4202 The units of this billing period are used up",
        "Buy again",
    ]
    assert refused.value.message == spent["message"]  # the field of the API stays as it came


def test_a_detail_is_in_the_chosen_language_if_available(monkeypatch: pytest.MonkeyPatch) -> None:
    both = ApiError(4104, "签名错误", http_status=401, details={"detail": "sorted", "detail_zh": "排了序"})
    english = ApiError(4002, "格式", http_status=400, details={"detail": "a gif"})
    assert (both.detail, english.detail) == ("排了序", "a gif")
    monkeypatch.setenv("FACECLOUD_LANG", "en")
    assert (both.detail, english.detail) == ("sorted", "a gif")


def test_an_unknown_code_keeps_the_services_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACECLOUD_LANG", "en")
    assert ApiError(4999, "新的错误", http_status=400).headline == "4999 新的错误"


def test_a_long_retry_after_is_raised_to_the_caller() -> None:
    with scripted(reply("503 Service Unavailable", BUSY, "Retry-After: 3600")) as server:
        client, pauses = client_of(server)
        with pytest.raises(ServiceError) as refused:
            client.detect([b"picture"])
    assert pauses == []
    assert refused.value.retry_after_s == 3600
    assert "3600" in str(refused.value)


@pytest.mark.parametrize(
    "broken",
    [
        reply("200 OK", OK, cut=10),
        b"",
        b"HTTP/1.1 200 OK\r\nContent-",
        reply("502 Bad Gateway", "<html>bad gateway</html>"),
    ],
    ids=["body cut off", "hung up", "head cut off", "a proxy's page"],
)
def test_a_lost_reply_is_requested_again(broken: bytes) -> None:
    with scripted(broken, reply("200 OK", OK)) as server:
        client, pauses = client_of(server)
        assert len(client.detect([b"picture"])) == 1
    assert len(server.requests) == 2
    assert len(pauses) == 1


def test_an_unreachable_service_is_named() -> None:
    with scripted(b"") as server:
        url = server.url
    client = FaceClient(APP_KEY, SECRET, url, sleep=lambda _: None)
    with pytest.raises(TransportError, match=url):
        client.detect([b"picture"])


def test_a_malformed_entry_is_rejected() -> None:
    strange = {"code": 0, "message": "成功", "result": [{"faces": []}]}
    with scripted(reply("200 OK", strange)) as server:
        client, _ = client_of(server)
        with pytest.raises(TransportError, match="faces"):
            client.detect([b"picture"])


def test_a_redirect_is_reported_not_followed() -> None:
    with scripted(reply("301 Moved Permanently", "", "Location: https://example.org/")) as server:
        client, pauses = client_of(server)
        with pytest.raises(TransportError, match=r"https://example\.org/"):
            client.detect([b"picture"])
    assert pauses == []


def test_an_address_with_a_path_signs_that_path() -> None:
    with scripted(reply("200 OK", OK)) as server:
        server.url += "/face/"
        client, _ = client_of(server)
        client.detect([b"picture"])
    (request,) = server.requests
    assert request.path == "/face/api/v1/face_detect.json"
    dt = request.headers["x-ctyun-dt"]
    assert request.headers["authorization"].endswith(
        sign(SECRET, "POST", request.path, "", dt, hashlib.sha1(request.body).hexdigest())
    )


def test_the_body_is_sent_with_its_length_and_not_in_chunks() -> None:
    with scripted(reply("200 OK", OK)) as server:
        client, _ = client_of(server)
        client.detect([b"picture"])
    (request,) = server.requests
    assert "transfer-encoding" not in request.headers
    assert json.loads(request.body) == {
        "data": ["data:application/octet-stream;base64,cGljdHVyZQ=="],
        "options": {"quality": True},
    }


def test_environment_proxies_are_not_used_for_localhost(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(reply("502 Bad Gateway", "a proxy")) as proxy, scripted(reply("200 OK", OK)) as server:
        for name in ("http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        client, _ = client_of(server)
        assert len(client.detect([b"picture"])) == 1
    assert proxy.requests == []


def test_the_secret_is_never_printed() -> None:
    with scripted(reply("503 Service Unavailable", BUSY, "Retry-After: 3600")) as server:
        client, _ = client_of(server)
        with pytest.raises(ServiceError) as refused:
            client.detect([b"picture"])
        sent = client.post("/api/v1/face_detect.json", Body([Source("x", data=b"x")]), {}).request
    texts = [repr(client), str(refused.value), repr(refused.value.details), repr(sent.headers)]
    assert not any(SECRET in text for text in texts)
    assert isinstance(sent, httpx.Request)


class Watched(FaceClient):
    """A client that keeps its last response."""

    response: httpx.Response

    def post(self, path: str, body: Content, extra: Mapping[str, str], pictures: int = 1) -> httpx.Response:
        self.response = super().post(path, body, extra, pictures)
        return self.response


def test_the_client_waits_longer_than_the_service_takes() -> None:
    """A pair has two pictures, which may have to be fetched."""
    compared = {"face_compare": "false", "confidence": 0.0, "pic_quality": 1}
    served = reply("200 OK", {"code": 0, "message": "成功", "result": [compared] * MAX_PAIRS})
    with scripted(served) as server, Watched(APP_KEY, SECRET, server.url) as client:
        client.compare([(b"one", b"other")] * MAX_PAIRS)
    inference_s = settings.DEADLINE_S + settings.DEADLINE_PER_IMAGE_S * 2 * MAX_PAIRS
    assert client.response.request.extensions["timeout"]["read"] > inference_s + fetching.longest_s()
