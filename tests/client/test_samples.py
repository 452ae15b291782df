"""docs/samples: each one signs the golden vector, and shows whether the call succeeded."""

import json
from pathlib import Path

from tests.client.samples import COMMANDS, SAMPLES, Run, Start
from tests.client.scripted import OK, reply, scripted

GOLDEN = "4ce71311d8e2adf7a550633f70aece92c3e8003f2b4a0a5665506ed79d49cca0"
VECTOR = ["POST", "/api/v1/face_detect.json", "", "1544518784923"]
BODY = '{"data": ["https://example.org/example.png"]}'
SECRET = "0123456789abcdef0123456789abcdef"


def test_every_sample_is_tested() -> None:
    assert sorted(path.name for path in SAMPLES.iterdir()) == sorted(COMMANDS)


def test_every_sample_signs_the_golden_vector(run: Run) -> None:
    assert run("--sign", *VECTOR, BODY, FACECLOUD_SECRET_KEY=SECRET).strip() == GOLDEN


def test_query_and_chinese_text_are_signed_unmodified(run: Run) -> None:
    # Made with Python's hashlib and hmac over the same five lines.
    expected = "6aa682f014f80a13caf54f92ca092ddc7f9f57fc4aacb842c0dc123ffd573d1f"
    printed = run(
        "--sign", "POST", "/v1/face_compare.json", "b=2&a=%2F", "1545638099000", '{"data": ["图"]}',
        FACECLOUD_SECRET_KEY=SECRET,
    ).strip()  # fmt: skip
    assert printed == expected


def test_every_sample_shows_whether_the_call_succeeded(start: Start, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"picture")
    busy = reply("503 Service Unavailable", {"code": 5003, "message": "服务繁忙"}, "Retry-After: 7")
    with scripted(reply("200 OK", OK), busy) as server:
        keys = {"FACECLOUD_URL": server.url, "FACECLOUD_APP_KEY": "k", "FACECLOUD_SECRET_KEY": SECRET}
        served, refused = (start("face_detect", str(picture), **keys) for _ in range(2))
    assert (served.returncode, json.loads(served.stdout)) == (0, OK)
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["code"] == 5003
    assert "retry-after: 7" in refused.stderr.lower()


def test_a_picture_without_its_pair_is_never_left_out(start: Start, tmp_path: Path) -> None:
    """Either the sample refuses it, or it sends it and the service does."""
    for name in "abc":
        (tmp_path / name).write_bytes(name.encode())
    with scripted(reply("400 Bad Request", {"code": 4001, "message": "请求没有图片"})) as server:
        keys = {"FACECLOUD_URL": server.url, "FACECLOUD_APP_KEY": "k", "FACECLOUD_SECRET_KEY": SECRET}
        done = start("face_compare", *[str(tmp_path / name) for name in "abc"], **keys)
    assert done.returncode != 0
    for request in server.requests:
        assert [len(pair) for pair in json.loads(request.body)["data"]] == [2, 1]
