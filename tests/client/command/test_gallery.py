"""`facecloud enrol` and `facecloud search` when requests fail: where they stop, and what they print."""

import json
import signal
from pathlib import Path

import pytest
from facecloud_client.command.cli import main
from facecloud_client.command.gallery.enrol import person_id_of
from facecloud_client.command.gallery.records import DONE_FILE
from facecloud_client.in_order import MAX_REJECTED_IN_A_ROW

from tests.client.command.test_process import command, silent
from tests.client.scripted import Request, Scripted, reply, scripted


def answer(*entries: object) -> bytes:
    return reply("200 OK", {"code": 0, "message": "成功", "result": list(entries)})


GROUPS = answer({"groups": [{"group_id": "staff"}]})
PERSONS = answer({"persons": []})
ENROLLED = answer({"group_id": "staff", "person_id": "a", "face_id": "f1"})
NO_FACE = answer({"face_list": [], "pic_quality": 1})
FAILED = reply("500 Internal Server Error", {"code": 5001, "message": "服务接口异常", "request_id": "r-1"})
NO_GROUP = reply("400 Bad Request", {"code": 4301, "message": "人脸组不存在"})
FULL = reply("400 Bad Request", {"code": 4303, "message": "人脸库已满", "index": 0})
USED_UP = reply("402 Payment Required", {"code": 4202, "message": "已用完"})
BAD_PICTURE = reply(
    "400 Bad Request", {"code": 4012, "message": "不支持的文件类型", "index": 0, "request_id": "r-2"}
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of nine pictures."""
    for name in "abcdefghi":
        (tmp_path / f"{name}.png").write_bytes(name.encode())
    return tmp_path


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACECLOUD_APP_KEY", "0" * 16)
    monkeypatch.setenv("FACECLOUD_SECRET_KEY", "0" * 32)


def enrol(server: Scripted, folder: Path, *options: str) -> int:
    """Return the exit status of an enrolment with one request at a time."""
    target = ["--group", "staff", "--consent", "HR-12", "--url", server.url, "--jobs", "1"]
    return main(["enrol", str(folder), *target, *options])


def search(server: Scripted, *inputs: Path | str) -> int:
    names = map(str, inputs)
    return main(["search", *names, "--group", "staff", "--url", server.url, "--jobs", "1", "--json"])


def only_one_of(folder: Path) -> Path:
    """Delete all pictures but the first, and return it."""
    first, *others = sorted(folder.iterdir())
    for path in others:
        path.unlink()
    return first


def enrolments(server: Scripted) -> list[Request]:
    return [request for request in server.requests if request.path.endswith("face_person_add.json")]


def test_ctrl_c_stops_an_enrolment_at_once(folder: Path) -> None:
    with silent() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        target = ("--group", "staff", "--consent", "HR-12", "--jobs", "1")
        running = command(url, "enrol", str(folder), *target)
        for listed in (GROUPS, PERSONS):
            Scripted([listed]).answer(listener.accept()[0])
        unanswered, _ = listener.accept()
        with unanswered:
            unanswered.recv(1)
            running.send_signal(signal.SIGINT)
            _, errors = running.communicate(timeout=10)
    assert running.returncode == 130
    assert b"Traceback" not in errors


@pytest.mark.parametrize(
    ("refusal", "status", "sent"),
    [(USED_UP, 4, 1), (FULL, 5, 1), (FAILED, 5, MAX_REJECTED_IN_A_ROW)],
    ids=["used up", "full", "failed"],
)
def test_an_enrolment_stops_if_all_later_requests_would_fail(
    folder: Path, capsys: pytest.CaptureFixture[str], refusal: bytes, status: int, sent: int
) -> None:
    with scripted(GROUPS, PERSONS, ENROLLED, refusal) as server:
        assert enrol(server, folder) == status
        assert len(enrolments(server)) < 1 + sent + 3  # with those in progress
    assert f"已停止，{8 - sent} 项没有处理" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("refusal", "status", "sent"),
    [(USED_UP, 4, 1), (NO_GROUP, 5, 1), (FAILED, 5, MAX_REJECTED_IN_A_ROW)],
    ids=["used up", "no group", "failed"],
)
def test_a_search_stops_if_all_later_requests_would_fail(
    folder: Path, capsys: pytest.CaptureFixture[str], refusal: bytes, status: int, sent: int
) -> None:
    with scripted(NO_FACE, refusal) as server:
        assert search(server, folder) == status
        assert len(server.requests) < 1 + sent + 3
    assert f"已停止，{8 - sent} 项没有处理" in capsys.readouterr().err


def test_bad_pictures_do_not_stop_the_others(folder: Path) -> None:
    with scripted(*[BAD_PICTURE] * 4, NO_FACE) as server:
        assert search(server, folder) == 1
        assert len(server.requests) == 9


def test_a_single_failure_of_the_service_does_not_stop_the_others(folder: Path) -> None:
    with scripted(NO_FACE, FAILED, NO_FACE) as server:
        assert search(server, folder) == 5
        assert len(server.requests) == 9


def test_the_status_says_if_no_picture_is_readable(folder: Path) -> None:
    (folder / "a.png").write_bytes(b"")
    with scripted(NO_FACE) as server:
        assert search(server, folder / "a.png", folder / "none.png") == 2
        assert search(server, folder / "a.png", folder / "b.png") == 1


def test_nothing_is_sent_for_enrolment_if_it_cannot_be_recorded(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / DONE_FILE).mkdir()
    with scripted(GROUPS, PERSONS, ENROLLED) as server:
        assert enrol(server, folder) == 2
        assert enrolments(server) == []
    assert DONE_FILE in capsys.readouterr().err


def test_an_enrolled_picture_that_cannot_be_recorded_is_not_a_failed_one(folder: Path) -> None:
    only_one_of(folder)
    with silent() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        running = command(url, "enrol", str(folder), "--group", "staff", "--consent", "HR-12", "--json")
        for listed in (GROUPS, PERSONS):
            Scripted([listed]).answer(listener.accept()[0])
        enrolment, _ = listener.accept()
        (folder / DONE_FILE).unlink()
        (folder / DONE_FILE).mkdir()
        Scripted([ENROLLED]).answer(enrolment)
        printed, errors = running.communicate(timeout=30)
    assert running.returncode == 2
    assert json.loads(printed)["result"]["face_id"] == "f1"
    assert DONE_FILE in errors.decode()


def test_an_enrolment_whose_answer_was_lost_is_repeated_with_the_same_key(folder: Path) -> None:
    """After a few minutes the service refuses the repeat (4022); the stored face is recorded then."""
    only_one_of(folder)
    used_up = reply("400 Bad Request", {"code": 4022, "message": "该 Idempotency-Key 已失效"})
    stored = answer({"persons": [{"person_id": "a", "faces": [{"face_id": "f1"}]}]})
    with scripted(GROUPS, PERSONS, FAILED, GROUPS, stored, used_up) as server:
        assert enrol(server, folder) == 5
        assert enrol(server, folder) == 0
    lost, repeated = (request.headers["idempotency-key"] for request in enrolments(server))
    assert lost == repeated
    assert (folder / DONE_FILE).read_text().split()[2] == "f1"


@pytest.mark.parametrize(
    ("name", "person"),
    [
        ("zhang san_1.jpg", "zhang-san"),
        ("1001 (2).jpg", "1001"),
        ("张三.jpg", ""),
        (f"{'x' * 64}.jpg", "x" * 64),
        (f"{'x' * 65}.jpg", ""),
    ],
)
def test_a_person_id_is_the_name_of_the_file(name: str, person: str) -> None:
    assert person_id_of(Path(name)) == person


def test_a_name_that_is_not_an_id_is_to_be_changed(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACECLOUD_LANG", "en")
    only_one_of(folder).rename(folder / "张三.png")
    with scripted(GROUPS, PERSONS, ENROLLED) as server:
        assert enrol(server, folder) == 2
        assert enrolments(server) == []
    assert "rename the file" in capsys.readouterr().err


def test_more_groups_than_a_search_takes_are_refused_before_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many = answer({"groups": [{"group_id": f"group-{number}"} for number in range(11)]})
    with scripted(many, NO_FACE) as server:
        assert main(["search", str(folder), "--url", server.url]) == 2
        assert len(server.requests) == 1
    assert "--group" in capsys.readouterr().err


def test_a_line_of_json_has_the_result_or_the_error_of_the_api(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with scripted(NO_FACE, BAD_PICTURE, NO_FACE) as server:
        assert search(server, folder / "a.png", folder / "b.png") == 1
        assert json.loads(server.requests[0].body)["options"]["quality"] is True
    found, refused = map(json.loads, capsys.readouterr().out.splitlines())
    assert found == {"source": str(folder / "a.png"), "result": {"face_list": [], "pic_quality": 1}}
    error = {"code": 4012, "message": "不支持的文件类型", "request_id": "r-2"}
    assert refused == {"source": str(folder / "b.png"), "error": error}


def test_a_line_of_json_says_that_an_enrolled_picture_was_skipped(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only_one_of(folder)
    stored = answer({"persons": [{"person_id": "a", "faces": [{"face_id": "f1"}]}]})
    with scripted(GROUPS, PERSONS, ENROLLED, GROUPS, stored) as server:
        assert enrol(server, folder, "--json") == 0
        assert enrol(server, folder, "--json") == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["result"]["face_id"] == "f1"
    assert second == {"source": str(folder / "a.png"), "skipped": True}


def test_the_reasons_for_poor_quality_are_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = {"left": 1, "top": 2, "width": 3, "height": 4}
    blurred = answer(
        {
            "face_list": [{"location": place, "person_list": []}],
            "pic_quality": 1,
            "quality": {"score": 0.3, "reasons": ["blurred"]},
        }
    )
    with scripted(blurred) as server:
        url = ["--group", "staff", "--url", server.url]
        assert main(["search", str(folder / "a.png"), *url]) == 0
    assert "质量不合格：模糊" in capsys.readouterr().out
