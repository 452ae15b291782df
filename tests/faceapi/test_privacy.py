"""Bytes planted in images, and secrets, are found nowhere afterwards: files, database, Valkey, logs."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from facecloud import valkey
from facecloud.local.process import Process
from tests.faceapi.conftest import Caller, encode, inline
from tests.faceapi.servers import Servers

CANARY = b"CANARY-OF-AN-IMAGE-7f3a9c"


def with_canary(picture: bytes) -> bytes:
    """A JPEG whose comment holds the canary, in the middle of real content."""
    comment = CANARY * 400
    return picture[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + picture[2:]


def files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent) / name for name in names if not (Path(parent) / name).is_socket())


def holds(data: bytes, needles: list[bytes]) -> bool:
    return any(needle in data for needle in needles)


def encodings(needle: bytes) -> list[bytes]:
    """The needle as it is, and as base64 has it at each of the three offsets."""
    import base64

    inner = [base64.b64encode(b"\0" * shift + needle)[4:-4] for shift in range(3)]
    return [needle, *inner, *(text.translate(bytes.maketrans(b"+/", b"-_")) for text in inner)]


@pytest.mark.usefixtures("worker")
def test_an_image_leaves_no_trace(caller: Caller, servers: Servers, tight_site: Process) -> None:
    picture = with_canary(encode((200, 200)))
    assert caller.call([inline(picture)] * 5, Idempotency_Key="canary").code == 0
    assert caller.call([[inline(picture)] * 2], "/api/v1/face_compare.json").code == 0
    assert caller.call([inline(picture[:6000])]).code == 4003  # fails in the decoder
    assert caller.call([inline(picture), inline(CANARY * 400)]).code == 4012
    assert caller.send(b'{"data": ["' + CANARY * 100).code == 4007
    assert caller.send(inline(picture).encode()).code == 4007
    refused = caller.call([inline(picture)], Authorization=f"CTYUN {caller.key.key}:{'0' * 64}")
    assert refused.code == 4104
    url = servers.url(f"status/404?token={CANARY.decode()}")
    assert caller.call([url]).code == 4011
    needles = [*encodings(CANARY), caller.secret.encode()]
    connection.cursor().execute("CHECKPOINT")  # PostgreSQL's pages reach its files
    found = [str(path) for path in files(settings.VAR_DIR) if holds(path.read_bytes(), needles)]
    assert found == []
    for key in valkey.client().scan_iter("*"):
        value = valkey.client().dump(key) or b""
        assert not holds(bytes(key) + bytes(value), needles)


def test_logs_are_json_with_the_request_id_and_no_signature(caller: Caller, tight_site: Process) -> None:
    answer = caller.call([inline(encode())])
    log = tight_site.log.read_text()
    worker_log = (settings.VAR_DIR / "log" / "worker.log").read_text()
    request_id = answer.headers["X-Request-Id"]
    assert request_id in log
    assert request_id in worker_log
    assert re.search(r"CTYUN [0-9a-f]{16}:[0-9a-f]{64}", log + worker_log) is None
