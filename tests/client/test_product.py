"""The client and the samples against the product itself: web, worker, PostgreSQL, Valkey, models."""

import io
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.utils import timezone
from facecloud_client import ApiError, AuthenticationError, FaceClient, QuotaError
from facecloud_client.command.cli import main
from facecloud_client.command.draw import BOX_COLOUR
from facecloud_client.command.gallery.records import DONE_FILE
from facecloud_client.gallery import Gallery
from facecloud_client.request.sources import MAX_IMAGE_BYTES
from PIL import Image, ImageOps

from accounts.applications import create_app
from accounts.keys import secret_of
from accounts.models import App, AppKey, Region
from billing.management.demo import seed
from billing.quota import remaining
from tests.client.samples import Run
from tests.conftest import REPOSITORY


@pytest.fixture
def keys(site: str, transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the demo App's address and keys, as bin/start writes them, in the environment."""
    found = {**seed(timezone.now()), "FACECLOUD_URL": site}
    for name in ("FACECLOUD_URL", "FACECLOUD_APP_KEY", "FACECLOUD_SECRET_KEY"):
        monkeypatch.setenv(name, found[name])
    return found


@pytest.fixture
def client(keys: dict[str, str]) -> Iterator[FaceClient]:
    with FaceClient.from_env() as client:
        yield client


@pytest.fixture
def pictures(tmp_path: Path, astronaut: bytes) -> Path:
    """Return a folder: the photograph, its mirror image, one without a face, one invalid file."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.png").write_bytes(astronaut)
    with Image.open(io.BytesIO(astronaut)) as picture:
        ImageOps.mirror(picture.convert("RGB")).save(folder / "b.jpg", quality=95)
    (folder / "c.jpg").write_text("no picture")
    Image.new("RGB", (200, 200), "green").save(folder / "d.png")
    return folder


def left(keys: dict[str, str], api: str) -> int:
    app = App.objects.get(keys__key=keys["FACECLOUD_APP_KEY"])
    return remaining(app, api, timezone.now())


def test_detect_finds_the_face(client: FaceClient, astronaut: bytes) -> None:
    (result,) = client.detect([astronaut])
    (face,) = result.faces
    box = face.location
    assert box.left < 220 < box.left + box.width
    assert box.top < 120 < box.top + box.height
    assert set(face.landmark) == {"left_eye", "right_eye", "nose", "mouth_left", "mouth_right"}
    assert face.probability is not None
    assert 0.9 < face.probability <= 1


def test_a_folder_with_a_bad_file_gets_all_other_answers(
    keys: dict[str, str], pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = left(keys, "face_detect")
    assert main(["detect", str(pictures), "--json", "--batch", "3"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(line["source"]).name for line in lines] == ["a.png", "b.jpg", "c.jpg", "d.png"]
    assert [len(line["result"]["face_list"]) if "result" in line else None for line in lines] == [
        1,
        1,
        None,
        0,
    ]
    assert lines[2]["error"]["code"] == 4012
    assert before - left(keys, "face_detect") == 3


def test_the_table_is_readable(
    keys: dict[str, str], pictures: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["analyse", str(pictures / "a.png"), str(pictures / "d.png")]) == 0
    printed = capsys.readouterr()
    assert "女" in printed.out
    assert "没有人脸" in printed.out
    assert "计量 2" in printed.err
    assert keys["FACECLOUD_SECRET_KEY"] not in printed.out + printed.err


def test_one_bad_picture_is_named_and_all_others_are_drawn(
    keys: dict[str, str], pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "e.jpg").touch()
    assert main(["detect", str(pictures), "--draw", str(tmp_path / "marked"), "--batch", "2"]) == 1
    assert sorted(path.name for path in (tmp_path / "marked").iterdir()) == ["a.png", "b.jpg", "d.png"]
    printed = capsys.readouterr()
    said = {Path(line.split()[0]).name: line for line in printed.out.splitlines()}
    assert "4012 不支持的文件类型" in said["c.jpg"]
    assert said["e.jpg"].endswith("文件为空")
    assert "4012: 提交 PNG 或 JPEG 图片" in printed.err
    assert "共 5 项，2 项失败" in printed.err


def test_the_client_waits_for_the_apps_rate_limit(keys: dict[str, str], pictures: Path) -> None:
    App.objects.filter(keys__key=keys["FACECLOUD_APP_KEY"]).update(rate_per_s=1)
    (pictures / "c.jpg").unlink()
    before = left(keys, "face_detect")
    assert main(["detect", str(pictures), "--batch", "1"]) == 0
    assert before - left(keys, "face_detect") == 3


def test_draw_marks_the_face(keys: dict[str, str], pictures: Path, tmp_path: Path) -> None:
    assert main(["analyse", str(pictures / "a.png"), "--draw", str(tmp_path / "out.png")]) == 0
    with Image.open(tmp_path / "out.png") as drawn:
        assert drawn.size == (512, 512)
        colours = {colour for _, colour in drawn.getcolors(1 << 20) or []}
    assert BOX_COLOUR in colours


def test_compare_takes_two_pictures_an_anchor_or_a_list(
    keys: dict[str, str], pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = left(keys, "face_compare")
    assert main(["compare", str(pictures / "a.png"), str(pictures / "b.jpg"), "--json"]) == 0
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert line["result"]["face_compare"] == "true"

    (pictures / "c.jpg").unlink()
    assert main(["compare", "--anchor", str(pictures / "a.png"), str(pictures), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(line["pair"][1]).name for line in lines] == ["b.jpg", "d.png"]
    assert [line["result"]["face_compare"] for line in lines] == ["true", "false"]

    (pictures / "pairs.csv").write_text("a.png,b.jpg\nd.png,a.png\n")
    assert main(["compare", "--pairs", str(pictures / "pairs.csv")]) == 0
    assert before - left(keys, "face_compare") == 3


def test_the_command_reads_standard_input(keys: dict[str, str], astronaut: bytes) -> None:
    done = subprocess.run(
        [str(REPOSITORY / "bin" / "facecloud"), "detect", "-", "--json"],
        input=astronaut,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout)
    assert line["source"] == "-"
    assert len(line["result"]["face_list"]) == 1


def test_the_index_counts_over_all_batches(client: FaceClient, astronaut: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        client.detect([astronaut, astronaut, astronaut, b"no picture"], batch=3)
    assert (refused.value.code, refused.value.index) == (4012, 3)
    assert refused.value.remedy


def test_a_lost_reply_is_charged_once(keys: dict[str, str], astronaut: bytes) -> None:
    before = left(keys, "face_detect")
    with losing_the_first_reply(keys["FACECLOUD_URL"]) as url:
        client = FaceClient(
            keys["FACECLOUD_APP_KEY"], keys["FACECLOUD_SECRET_KEY"], url, sleep=lambda _: None
        )
        with client:
            (result,) = client.detect([astronaut])
    assert len(result.faces) == 1
    assert before - left(keys, "face_detect") == 1


def test_wrong_keys_and_an_unordered_api_are_reported(
    keys: dict[str, str], client: FaceClient, astronaut: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = create_app(
        customer=App.objects.get(keys__key=keys["FACECLOUD_APP_KEY"]).customer,
        region=Region.objects.filter(is_active=True)[0],
        name="空应用",
        description="没有订购",
        at=timezone.now(),
    )
    key = AppKey.objects.get(app=stranger)
    with FaceClient(key.key, secret_of(key), client.base_url) as other, pytest.raises(QuotaError) as refused:
        other.detect([astronaut])
    assert refused.value.code == 4201
    monkeypatch.setenv("FACECLOUD_SECRET_KEY", secret_of(key))
    assert main(["detect", str(REPOSITORY / "README.md")]) == 3
    monkeypatch.setenv("FACECLOUD_APP_KEY", key.key)
    assert main(["doctor"]) == 1


def test_a_refusal_during_a_large_upload_is_read(keys: dict[str, str]) -> None:
    pauses: list[float] = []
    stranger = FaceClient("0" * 16, "0" * 32, keys["FACECLOUD_URL"], sleep=pauses.append)
    with stranger, pytest.raises(AuthenticationError) as refused:
        stranger.detect([bytes(MAX_IMAGE_BYTES)] * 8, batch=100)
    assert refused.value.code == 4102
    assert pauses == []


def test_the_doctor_reports_no_problem(keys: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    before = left(keys, "face_detect")
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("✓") == 8
    assert f"剩余 {before}" in printed
    assert keys["FACECLOUD_SECRET_KEY"] not in printed
    assert left(keys, "face_detect") == before


def test_the_doctor_reports_a_wrong_secret(
    keys: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACECLOUD_SECRET_KEY", "0" * 32)
    assert main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert "4104" in printed
    assert "SecretKey 与 AppKey 不是一对" in printed


def test_a_wrong_clock_is_reported(keys: dict[str, str], astronaut: bytes) -> None:
    client = FaceClient(
        keys["FACECLOUD_APP_KEY"],
        keys["FACECLOUD_SECRET_KEY"],
        keys["FACECLOUD_URL"],
        now=lambda: datetime.now(UTC) - timedelta(hours=1),
    )
    with client, pytest.raises(AuthenticationError) as refused:
        client.detect([astronaut])
    assert refused.value.code == 4103
    assert "时钟" in str(refused.value)


def test_every_sample_gets_a_real_answer(run: Run, keys: dict[str, str], pictures: Path) -> None:
    environment = {
        name: keys[name] for name in ("FACECLOUD_URL", "FACECLOUD_APP_KEY", "FACECLOUD_SECRET_KEY")
    }
    one, other = str(pictures / "a.png"), str(pictures / "b.jpg")
    detected = json.loads(run("face_detect", one, other, **environment))
    assert detected["code"] == 0, detected
    assert [len(entry["face_list"]) for entry in detected["result"]] == [1, 1]
    compared = json.loads(run("face_compare", one, other, **environment))
    assert [entry["face_compare"] for entry in compared["result"]] == ["true"]


def test_every_sample_enrols_finds_and_erases_a_person(
    run: Run, keys: dict[str, str], pictures: Path
) -> None:
    environment = {
        name: keys[name] for name in ("FACECLOUD_URL", "FACECLOUD_APP_KEY", "FACECLOUD_SECRET_KEY")
    }

    def call(api: str, **body: object) -> list[Any]:
        reply = json.loads(run(api, json.dumps(body, ensure_ascii=False), **environment))
        assert reply["code"] == 0, reply
        return list(reply["result"])

    who = {"group_id": "sample", "person_id": "1001"}
    one, other = f"@{pictures / 'a.png'}", f"@{pictures / 'b.jpg'}"
    call("face_group_add", data=[{"group_id": "sample", "name": "示例"}])
    (added,) = call("face_person_add", data=[{**who, "image": one, "consent": {"reference": "HR-12"}}])
    both = call("face_search", data=[one, other], options={"groups": ["sample"]})
    assert [found["face_list"][0]["person_list"][0]["face_id"] for found in both] == [added["face_id"]] * 2
    assert call("face_person_delete", data=[who]) == [{"deleted_faces": 1}]
    (found,) = call("face_search", data=[one], options={"groups": ["sample"]})
    assert found["face_list"][0]["person_list"] == []
    assert call("face_group_list", data=[{}])[0]["groups"][0]["name"] == "示例"


def test_a_group_keeps_the_name_that_is_not_given(client: FaceClient) -> None:
    gallery = Gallery(client)
    assert gallery.add_group("unnamed")
    assert gallery.add_group("staff", "员工")
    assert not gallery.add_group("staff", retention_days=30)
    found = {group["group_id"]: (group["name"], group.get("retention_days")) for group in gallery.groups()}
    assert found == {"staff": ("员工", 30), "unnamed": ("unnamed", None)}


def test_a_folder_is_enrolled_once_and_searched(
    keys: dict[str, str],
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "staff"
    folder.mkdir()
    (folder / "zhang san_1.png").write_bytes((pictures / "a.png").read_bytes())
    (folder / "nobody.png").write_bytes((pictures / "c.jpg").read_bytes())
    enrol = ["enrol", str(folder), "--group", "folder", "--consent", "HR-12"]
    before = left(keys, "face_search")
    assert main(enrol) == 1
    printed = capsys.readouterr()
    assert "nobody.png" in printed.err
    assert "4012" in printed.err
    assert main(enrol) == 1  # what is enrolled is not enrolled again
    assert before - left(keys, "face_search") == 1
    search = ["search", str(pictures / "b.jpg"), "--group", "folder"]
    capsys.readouterr()
    assert main([*search, "--json"]) == 0
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert line["result"]["face_list"][0]["person_list"][0]["person_id"] == "zhang-san"
    assert main(search) == 0
    assert "folder/zhang-san" in capsys.readouterr().out
    with (pictures / "b.jpg").open() as piped:  # its `.buffer` has the bytes
        monkeypatch.setattr("sys.stdin", piped)
        assert main(["search", "-", "--group", "folder"]) == 0
    assert "folder/zhang-san" in capsys.readouterr().out
    assert main([*search[:-1], "nowhere"]) == 5
    assert "4301" in capsys.readouterr().err


def test_the_client_forgets_an_enrolment_when_its_face_is_gone(
    keys: dict[str, str], pictures: Path, tmp_path: Path
) -> None:
    """An erased person is enrolled again, and its lines are replaced, even those of earlier versions."""
    folder = tmp_path / "staff"
    folder.mkdir()
    (folder / "zhangsan.png").write_bytes((pictures / "a.png").read_bytes())
    enrol = ["enrol", str(folder), "--group", "notes", "--consent", "HR-12"]
    elsewhere = ["enrol", str(folder), "--group", "elsewhere", "--consent", "HR-12"]
    assert main(enrol) == main(elsewhere) == 0
    notes = folder / DONE_FILE
    first, other = notes.read_text().splitlines()
    with FaceClient.from_env() as client:
        gallery = Gallery(client)
        assert gallery.erase("notes", "zhangsan") == 1
        assert main(enrol) == 0
        assert gallery.erase("notes", "zhangsan") == 1
        assert first not in notes.read_text()
        assert other in notes.read_text()
        before = left(keys, "face_search")
        notes.write_text(first.split()[0] + "\n")  # as an earlier version wrote it
        assert main(enrol) == 0
        notes.write_text(first.split()[0] + "\n")
        assert main(enrol) == 0
        assert before - left(keys, "face_search") == 1


def test_a_picture_whose_record_was_lost_is_not_charged_again(
    keys: dict[str, str], pictures: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "staff"
    folder.mkdir()
    (folder / "zhangsan.png").write_bytes((pictures / "a.png").read_bytes())
    enrol = ["enrol", str(folder), "--group", "lost", "--consent", "HR-12"]
    before = left(keys, "face_search")
    assert main(enrol) == 0
    recorded = (folder / DONE_FILE).read_text()
    (folder / DONE_FILE).unlink()
    assert main(enrol) == 0
    assert (folder / DONE_FILE).read_text() == recorded
    assert before - left(keys, "face_search") == 1


@contextmanager
def losing_the_first_reply(site: str) -> Iterator[str]:
    """Yield a relay that passes every request on and hangs up instead of passing the first reply back."""
    target = urlsplit(site)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def relay() -> None:
            lose = True
            while True:
                try:
                    near, _ = listener.accept()
                except OSError:
                    return
                with near, socket.create_connection((target.hostname, target.port)) as far:
                    upward = threading.Thread(target=pump, args=(near, far), daemon=True)
                    upward.start()
                    if lose:
                        far.recv(1)  # the service has answered
                        lose = False
                        near.shutdown(socket.SHUT_RDWR)
                    else:
                        pump(far, near)

        thread = threading.Thread(target=relay, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=10)


def pump(source: socket.socket, target: socket.socket) -> None:
    """Forward bytes from one to the other until either ends."""
    try:
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other side has closed the connection
