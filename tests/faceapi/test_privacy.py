"""Bytes planted in images, and secrets, do not remain in files, database, Valkey or logs."""

import base64
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from accounts.models import App
from common import valkey
from embedded.services.managed_process import Process
from tests.conftest import wait_until
from tests.faceapi.conftest import Caller, encode, inline, read_answer, read_answers
from tests.faceapi.servers import Servers

CANARY = b"CANARY-OF-AN-IMAGE-7f3a9c"
PLANTED = b"PLANTED-TO-BE-FOUND-91bd"


def with_canary(picture: bytes) -> bytes:
    """Return a JPEG with the canary in its comment, within real content."""
    comment = CANARY * 400
    return picture[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + picture[2:]


def files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent) / name for name in names if not (Path(parent) / name).is_socket())


def encodings(needle: bytes) -> list[bytes]:
    """Return the needle as it is, in hex, and as base64 has it at each of the three offsets."""
    inner = [base64.b64encode(b"\0" * shift + needle)[4:-4] for shift in range(3)]
    safe = [text.translate(bytes.maketrans(b"+/", b"-_")) for text in inner]
    return [needle, needle.hex().encode(), *inner, *safe]


def rows() -> Iterator[tuple[str, bytes]]:
    """Yield every row of every table as text, because PostgreSQL compresses long values in its files."""
    for table in connection.introspection.table_names():
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT "{table}"::text FROM "{table}"')
            for (row,) in cursor.fetchall():
                yield table, row.encode()


def values() -> Iterator[tuple[str, bytes]]:
    """Yield every key and value of Valkey, read by its type, because a DUMP would be compressed."""
    client = valkey.client()
    reads = {
        b"string": client.get,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"zset": lambda key: client.zrange(key, 0, -1),
        b"set": client.smembers,
        b"hash": client.hgetall,
    }
    for key in client.scan_iter("*"):
        yield key.decode(), key
        kind = client.type(key)
        if kind == b"none":  # it has expired
            continue
        found = reads[kind](key)
        yield key.decode(), found if isinstance(found, bytes) else repr(found).encode()


def traces(needles: list[bytes]) -> set[str]:
    """Return where a needle is found: files of the run (logs, PostgreSQL), tables, keys of Valkey."""
    connection.cursor().execute("CHECKPOINT")  # so that PostgreSQL writes its pages to its files
    places = [*rows(), *values()]
    for path in files(settings.VAR_DIR):
        with suppress(FileNotFoundError):  # PostgreSQL has removed it meanwhile
            places.append((str(path), path.read_bytes()))
    return {place for place, data in places if any(needle in data for needle in needles)}


def test_the_search_finds_a_planted_image(app: App) -> None:
    """Control: the search covers every store."""
    planted = settings.VAR_DIR / "planted.txt"
    client = valkey.client()
    try:
        planted.write_bytes(b"x" + base64.urlsafe_b64encode(b"xx" + PLANTED * 3))
        App.objects.filter(pk=app.pk).update(description=PLANTED.decode())
        client.set("planted-string", PLANTED * 400)
        client.rpush("planted-list", b"x", PLANTED)
        client.hset("planted-hash", "field", PLANTED)
        client.zadd("planted-zset", {PLANTED: 1})
        found = traces(encodings(PLANTED))
        expected = {str(planted), "accounts_app"}
        assert expected | {f"planted-{kind}" for kind in ("string", "list", "hash", "zset")} <= found
    finally:
        planted.unlink(missing_ok=True)
        client.delete(*(f"planted-{kind}" for kind in ("string", "list", "hash", "zset")))


@pytest.mark.usefixtures("worker")
def test_an_image_leaves_no_trace(caller: Caller, servers: Servers, tight_site: Process) -> None:
    picture = with_canary(encode((200, 200)))
    assert caller.call([inline(picture)] * 5, Idempotency_Key="canary").code == 0
    assert caller.call([[inline(picture)] * 2], "/api/v1/face_compare.json").code == 0
    assert caller.call([inline(picture[:6000])]).code == 4003  # fails in the decoder
    assert caller.call([inline(picture), inline(CANARY * 400)]).code == 4012
    assert caller.call([CANARY.decode() * 4000]).code == 4011
    assert caller.send(b'{"data": ["' + CANARY * 100).code == 4007
    assert caller.send(inline(picture).encode()).code == 4007
    refused = caller.call([inline(picture)], Authorization=f"CTYUN {caller.key.key}:{'0' * 64}")
    assert refused.code == 4104
    swapped = caller.call([inline(picture)], Authorization=f"CTYUN {caller.secret}:{'0' * 64}")
    assert swapped.code == 4102
    assert caller.secret not in str(swapped.json)
    url = servers.url(f"status/404?token={CANARY.decode()}")
    assert caller.call([url]).code == 4011
    with caller.raw() as sock:
        sock.sendall(caller.head(b"", "Transfer-Encoding: chunked") + picture)
        assert read_answer(sock).code == 4019
    with caller.raw() as sock:  # what follows the announced bytes is parsed as another request
        sock.sendall(caller.head(b"{}", "Content-Length: 2") + b"{}" + CANARY + b"\r\n\r\n")
        assert [answer.code for answer in read_answers(sock, 2)] == [4001, 4021]
    assert traces([*encodings(CANARY), caller.secret.encode()]) == set()


def test_logs_are_json_with_the_request_id_and_no_signature(
    caller: Caller, tight_site: Process, worker: Process
) -> None:
    answer = caller.call([inline(encode())])
    request_id, logs = answer.headers["X-Request-Id"], [tight_site.log, worker.log]
    for log in logs:  # the worker writes its line after it has answered
        wait_until(lambda log=log: request_id in log.read_text(), timeout_s=20, what=f"the call in {log}")
        lines = [json.loads(line) for line in log.read_text().splitlines() if request_id in line]
        assert {line["request_id"] for line in lines} == {request_id}
        assert re.search(r"CTYUN [0-9a-f]{16}:[0-9a-f]{64}", log.read_text()) is None
