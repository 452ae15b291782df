"""Many pictures in several requests, some of them rejected: results, messages, exit status."""

import json
from pathlib import Path

import pytest
from facecloud_client import FaceClient, InputError
from facecloud_client.command.cli import main
from facecloud_client.in_order import MAX_REJECTED_IN_A_ROW
from facecloud_client.outcomes import run
from facecloud_client.request.sources import source

from tests.client.scripted import OK, Scripted, reply, scripted

SERVED = reply("200 OK", OK)
FAILED = reply(
    "500 Internal Server Error",
    {
        "code": 5001,
        "message": "服务接口异常,请联系管理员",
        "remedy": "请提供 request_id",
        "request_id": "r-1",
    },
)
FAILED_FOR_ONE = reply("500 Internal Server Error", {"code": 5001, "message": "服务接口异常", "index": 0})
USED_UP = reply("402 Payment Required", {"code": 4202, "message": "已用完", "remedy": "再次购买"})
UNKNOWN = reply("401 Unauthorized", {"code": 4102, "message": "AppKey 不存在"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Nine pictures."""
    for number in range(9):
        (tmp_path / f"{number}.png").write_bytes(b"picture")
    return tmp_path


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACECLOUD_APP_KEY", "0" * 16)
    monkeypatch.setenv("FACECLOUD_SECRET_KEY", "0" * 32)


def detect(server: Scripted, folder: Path, *options: str) -> int:
    """Return the exit status of one picture a request, one request at a time."""
    return main(["detect", str(folder), "--url", server.url, "--batch", "1", "--jobs", "1", *options])


def answers(printed: str) -> list[int]:
    """Return the code of each line of JSON, 0 for a result."""
    lines = [json.loads(line) for line in printed.splitlines()]
    return [line["error"]["code"] if "error" in line else 0 for line in lines]


def test_a_refused_request_does_not_affect_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(SERVED, FAILED, SERVED) as server:
        assert detect(server, folder, "--json") == 5
    printed = capsys.readouterr()
    assert answers(printed.out) == [0, 5001, *[0] * 7]
    for told in ("1.png", "5001", "请提供 request_id", "r-1"):
        assert told in printed.err
    assert "没有识别" not in printed.err


def test_one_bad_picture_does_not_fail_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(FAILED_FOR_ONE, SERVED) as server:
        pictures = [str(folder / name) for name in ("0.png", "1.png")]
        assert main(["detect", *pictures, "--json", "--url", server.url]) == 1
    assert answers(capsys.readouterr().out) == [5001, 0]


@pytest.mark.parametrize(
    ("refusal", "code", "status", "told"),
    [(UNKNOWN, 4102, 3, 1), (USED_UP, 4202, 4, 1), (FAILED, 5001, 5, MAX_REJECTED_IN_A_ROW)],
)
def test_a_permanent_error_stops_the_run(
    folder: Path, capsys: pytest.CaptureFixture[str], refusal: bytes, code: int, status: int, told: int
) -> None:
    with scripted(SERVED, refusal) as server:
        assert detect(server, folder, "--json") == status
    assert len(server.requests) < 1 + told + 3
    printed = capsys.readouterr()
    assert answers(printed.out) == [0] + [code] * told
    assert printed.err.count(f": {code} ") == told
    assert f"已停止，{8 - told} 项没有识别" in printed.err


def test_results_in_flight_at_the_end_are_still_printed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with scripted(USED_UP, SERVED) as server:
        assert detect(server, folder, "--json", "--jobs", "2") == 4
    found = answers(capsys.readouterr().out)
    assert found[-1] == 4202
    assert set(found[:-1]) == {0}


def test_a_file_deleted_after_listing_is_named(folder: Path) -> None:
    pictures = [source(path) for path in sorted(folder.iterdir())[:2]]
    (folder / "0.png").unlink()
    with scripted(SERVED) as server, FaceClient("0" * 16, "0" * 32, server.url) as client:
        (done,) = run(client, "face_detect", pictures)
    gone, served = done.outcomes
    assert isinstance(gone.error, InputError)
    assert served.result is not None
    assert done.refusal is None


def test_an_unreadable_file_does_not_stop_the_others(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "0.png").write_bytes(b"")
    missing, good = str(folder / "none.png"), str(folder / "1.png")
    (folder / "pairs.csv").write_text("0.png,1.png\n1.png,2.png\n")
    with scripted(SERVED) as server:
        url = ["--url", server.url, "--json"]
        assert main(["detect", missing, good, *url]) == 1
        assert [json.loads(line)["source"] for line in capsys.readouterr().out.splitlines()] == [
            missing,
            good,
        ]
        assert main(["detect", missing, *url]) == 2
        assert "none.png" in capsys.readouterr().err
    compared = {"face_compare": "false", "confidence": 0.0, "pic_quality": 1}
    with scripted(reply("200 OK", {"code": 0, "message": "成功", "result": [compared]})) as server:
        assert main(["compare", "--pairs", str(folder / "pairs.csv"), "--url", server.url, "--json"]) == 1
    broken, line = map(json.loads, capsys.readouterr().out.splitlines())
    assert "error" in broken
    assert line["result"] == compared
