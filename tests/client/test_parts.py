"""The client's pure parts: body, batches, retries, sources, pairs, configuration."""

import base64
import hashlib
import json
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from facecloud_client import ConfigError, FaceClient, InputError
from facecloud_client.command.pairs import from_file
from facecloud_client.config import load
from facecloud_client.i18n import language
from facecloud_client.request.batches import split
from facecloud_client.request.body import CHUNK_BYTES, Body, Item
from facecloud_client.request.retry import RETRIES, retry_after_s, wait_s
from facecloud_client.request.signing import sign
from facecloud_client.request.sources import MAX_IMAGE_BYTES, Source, expand, source
from hypothesis import given
from hypothesis import strategies as st

NOON = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)


def test_the_signature_equals_the_golden_vector() -> None:
    body = b'{"data": ["https://example.org/example.png"]}'
    assert (
        sign(
            "0123456789abcdef0123456789abcdef",
            "POST",
            "/api/v1/face_detect.json",
            "",
            "1544518784923",
            hashlib.sha1(body).hexdigest(),
        )
        == "4ce71311d8e2adf7a550633f70aece92c3e8003f2b4a0a5665506ed79d49cca0"
    )


@given(st.lists(st.binary(min_size=1, max_size=50) | st.text(max_size=20).map(lambda t: "https://x/" + t)))
def test_the_body_is_the_json_of_the_pictures(pictures: list[bytes | str]) -> None:
    body = Body([source(picture) for picture in pictures])
    text = b"".join(body)
    assert len(text) == body.length_bytes
    assert hashlib.sha1(text).hexdigest() == body.sha1_hex
    prefix = "data:application/octet-stream;base64,"
    back: list[bytes | str] = [
        base64.urlsafe_b64decode(entry[len(prefix) :]) if entry.startswith(prefix) else entry
        for entry in json.loads(text)["data"]
    ]
    assert back == pictures


@pytest.mark.parametrize(
    "size_bytes", [1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 2]
)
def test_a_file_is_encoded_the_same_in_chunks(tmp_path: Path, size_bytes: int) -> None:
    content = bytes(range(256)) * (size_bytes // 256 + 1)
    (tmp_path / "a.jpg").write_bytes(content[:size_bytes])
    from_disk, from_memory = Body([source(tmp_path / "a.jpg")]), Body([source(content[:size_bytes])])
    assert b"".join(from_disk) == b"".join(from_memory)


def test_a_large_body_is_streamed(tmp_path: Path) -> None:
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(MAX_IMAGE_BYTES)
    picture = source(tmp_path / "a.jpg")
    tracemalloc.start()
    try:
        body = Body([picture] * 6)
        sent_bytes = sum(len(piece) for piece in body)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sent_bytes == body.length_bytes > 6 * MAX_IMAGE_BYTES * 4 / 3
    assert peak_bytes < 2 * 1024 * 1024


def test_pairs_are_sent_as_lists() -> None:
    text = b"".join(
        Body([(source("https://x/1"), source("https://x/2")), (source("https://x/3"), source(b"4"))])
    )
    assert json.loads(text)["data"] == [
        ["https://x/1", "https://x/2"],
        ["https://x/3", "data:application/octet-stream;base64,NA=="],
    ]


@given(
    st.lists(st.integers(min_value=1, max_value=40)),
    st.integers(min_value=1, max_value=7),
    st.integers(min_value=1, max_value=60),
)
def test_batches_keep_order_and_limits(sizes: list[int], max_items: int, max_bytes: int) -> None:
    items: list[Item] = [source(b"x" * size) for size in sizes]
    parts = list(split(items, max_items, max_bytes))
    assert [item for part in parts for item in part] == items
    for part in parts:
        assert 1 <= len(part) <= max_items
        weight = sum(len(item.data or b"") for item in part if isinstance(item, Source))
        assert weight <= max_bytes or len(part) == 1


@pytest.mark.parametrize(
    ("header", "expected_s"),
    [
        (None, None),
        ("", None),
        ("12", 12.0),
        (" 0 ", 0.0),
        ("Tue, 10 Mar 2026 04:00:30 GMT", 30.0),
        ("Tue, 10 Mar 2026 03:59:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header: str | None, expected_s: float | None) -> None:
    assert retry_after_s(header, NOON) == expected_s


def test_the_back_off_grows_up_to_a_maximum() -> None:
    waits = [wait_s(attempt, None, 0.5) for attempt in range(RETRIES + 1)]
    assert waits == [0.5, 1.0, 2.0, 4.0, None]
    assert wait_s(0, 5.0, 0.0) == 5.0
    assert wait_s(0, 61.0, 0.0) is None


def test_retry_after_is_obeyed_for_a_limited_time() -> None:
    waits = [wait_s(attempt, 1.0, 0.0) for attempt in range(7)]
    assert waits == [1.0, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert wait_s(0, 0.0, 0.0) == 0.5  # never in a tight loop
    assert wait_s(9, 30.0, 0.0, spent_s=90.0) == 30.0
    assert wait_s(9, 30.0, 0.0, spent_s=91.0) is None
    assert wait_s(9, 30.0, 0.0, spent_s=91.0, limit_s=200.0) == 30.0


def test_the_pictures_of_a_folder_are_sorted(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "notes.txt", ".hidden.png", "deeper/c.jpeg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = [Path(name).relative_to(tmp_path).as_posix() for name in expand([str(tmp_path)])]
    assert found == ["a.png", "b.JPG", "deeper/c.jpeg"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty"):
        expand([str(tmp_path / "empty")])


def test_invalid_input_is_rejected_before_sending(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "large.jpg").write_bytes(b"x" * (MAX_IMAGE_BYTES + 1))
    for name, words in (("none.jpg", "No such file"), ("empty.jpg", "空"), ("large.jpg", "10 MiB")):
        with pytest.raises(InputError, match=words):
            source(tmp_path / name)
    assert source(b"x" * MAX_IMAGE_BYTES).size_bytes == MAX_IMAGE_BYTES


def test_pairs_are_read_from_csv(tmp_path: Path) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text("a.jpg, sub/b.jpg\n\nhttps://x/c.png,d.jpg\n", encoding="utf-8")
    assert from_file(table) == [
        (str(tmp_path / "a.jpg"), str(tmp_path / "sub/b.jpg")),
        ("https://x/c.png", str(tmp_path / "d.jpg")),
    ]
    table.write_text("a.jpg,b.jpg\nc.jpg\n", encoding="utf-8")
    with pytest.raises(InputError, match="2"):
        from_file(table)


def test_keys_are_read_from_environment_and_file(tmp_path: Path) -> None:
    file = tmp_path / "demo.env"
    file.write_text(
        "# local\nFACECLOUD_URL='http://127.0.0.1:8000/'\n"
        'FACECLOUD_APP_KEY=abc\nexport FACECLOUD_SECRET_KEY="def"\n',
        encoding="utf-8",
    )
    environ = {"FACECLOUD_ENV_FILE": str(file), "FACECLOUD_APP_KEY": "from-environment"}
    found = load(environ=environ)
    assert (found.url, found.app_key, found.secret) == ("http://127.0.0.1:8000", "from-environment", "def")
    assert load(url="https://x", app_key="flag", environ=environ).app_key == "flag"
    assert load(app_key=" pasted\r\n", environ=environ).app_key == "pasted"
    assert "def" not in repr(found)


def test_missing_or_malformed_configuration_is_named(tmp_path: Path) -> None:
    nowhere = {"FACECLOUD_ENV_FILE": str(tmp_path / "none")}
    with pytest.raises(ConfigError, match="FACECLOUD_URL、FACECLOUD_APP_KEY、FACECLOUD_SECRET_KEY"):
        load(environ=nowhere)
    with pytest.raises(ConfigError, match="http://"):
        load(url="127.0.0.1:8000", app_key="k", environ={**nowhere, "FACECLOUD_SECRET_KEY": "s"})
    with pytest.raises(ConfigError):
        FaceClient("", "s", "http://x")
    with pytest.raises(ConfigError, match="AppKey"):
        FaceClient("密钥", "s", "http://x")
    with pytest.raises(ConfigError, match="地址"):
        FaceClient("k", "s", "http://[::1")


def test_an_unreadable_key_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "demo.env"
    file.write_bytes(b"FACECLOUD_URL=\xff")
    with pytest.raises(ConfigError, match=r"demo\.env"):
        load(environ={"FACECLOUD_ENV_FILE": str(file)})


def test_a_retry_after_date_is_converted_to_seconds() -> None:
    later = NOON + timedelta(minutes=2)
    assert retry_after_s(later.strftime("%a, %d %b %Y %H:%M:%S GMT"), NOON) == 120.0


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "C.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "en_GB.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "FACECLOUD_LANG": "zh"}, "zh"),
    ],
)
def test_the_language_of_the_output_can_be_chosen(
    environ: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FACECLOUD_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.setenv(name, environ.get(name, ""))
    assert language() == expected
