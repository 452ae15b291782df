"""`facecloud doctor`: what is a fault, what is a note, and which cause it states."""

import hashlib
from typing import Any

import pytest
from facecloud_client.command.cli import main
from facecloud_client.request.body import Body

from tests.client.scripted import Scripted, reply, scripted

HEALTHY = reply("200 OK", "ok")
EMPTY = {"code": 4001, "message": "请求没有图片"}


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACECLOUD_APP_KEY", "0" * 16)
    monkeypatch.setenv("FACECLOUD_SECRET_KEY", "0" * 32)


def doctor(server: Scripted) -> int:
    return main(["doctor", "--url", server.url])


def left(units: int) -> bytes:
    return reply("400 Bad Request", EMPTY, f"X-Quota-Remaining: {units}")


def test_an_api_that_is_not_ordered_is_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(HEALTHY, left(0), left(0), left(0), left(7)) as server:
        assert doctor(server) == 0
    printed = capsys.readouterr().out
    assert "! 余量 face_detect  剩余 0" in printed
    assert "✓ 余量 face_search  剩余 7" in printed


def test_an_app_without_any_units_is_a_fault(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(HEALTHY, left(0)) as server:
        assert doctor(server) == 1
    assert "没有可用的 API" in capsys.readouterr().out


def test_a_gallery_that_is_switched_off_is_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    off = reply("404 Not Found", {"code": 4020, "message": "接口地址不存在", "detail": "switched off"})
    with scripted(HEALTHY, left(7), left(7), left(7), off) as server:
        assert doctor(server) == 0
    assert "switched off" in capsys.readouterr().out


@pytest.mark.parametrize("served", [0, 1], ids=["at once", "after an answer"])
def test_a_busy_service_is_not_a_wrong_signature(served: int, capsys: pytest.CaptureFixture[str]) -> None:
    busy = reply("503 Service Unavailable", {"code": 5003, "message": "服务繁忙"}, "Retry-After: 7")
    with scripted(HEALTHY, *[left(7)] * served, busy) as server:
        assert doctor(server) == 1
    printed = capsys.readouterr().out
    assert "5003" in printed
    assert "请在 7 秒后重试" in printed
    assert "✗ 签名" not in printed


def refused(**changed: str) -> bytes:
    """Return 4104 for a request that arrived with these changes."""
    body = b"".join(Body([]))
    signed = {
        "method": "POST",
        "path": "/api/v1/face_detect.json",
        "query": "",
        "body_sha1": hashlib.sha1(body).hexdigest(),
    }
    return reply("401 Unauthorized", {"code": 4104, "message": "签名错误", "signed": {**signed, **changed}})


@pytest.mark.parametrize("changed", [{"body_sha1": "ab" * 20}, {"x_ctyun_dt": "1"}], ids=["body", "time"])
def test_a_request_that_changed_on_its_way_does_not_blame_the_keys(
    changed: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with scripted(HEALTHY, refused(**changed)) as server:
        assert doctor(server) == 1
    printed = capsys.readouterr().out
    assert "代理改写了请求" in printed
    (part,) = changed
    assert part in printed


def test_a_request_that_arrived_unchanged_blames_the_keys(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(HEALTHY, refused()) as server:
        assert doctor(server) == 1
    assert "SecretKey 与 AppKey 不是一对" in capsys.readouterr().out
