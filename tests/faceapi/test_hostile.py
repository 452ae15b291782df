"""A corpus of damaged and hostile images: each gets a documented code, never a 500, and no worker dies.

The images are created here; FACECLOUD_HOSTILE_DIR is a folder with more files to send.
"""

import os
import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from accounts.models import App
from billing import quota
from common import valkey
from embedded.services.managed_process import Process
from faceapi import errors
from faceapi.limits import unpaid
from tests.faceapi.conftest import Caller, encode, inline
from tests.faceapi.dispatch.workers import alive

IMAGE_CODES = {0, 4002, 4003, 4008, 4009, 4012}


def chunk(kind: bytes, data: bytes, *, crc: int | None = None) -> bytes:
    checksum = zlib.crc32(kind + data) if crc is None else crc
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def png(width: int, height: int, raw: bytes, *, depth: int = 8, colour: int = 2, interlace: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def corpus() -> Iterator[tuple[str, bytes]]:
    jpeg, picture = encode((120, 90)), encode((120, 90), kind="PNG")
    for name, whole in (
        ("jpeg", jpeg),
        ("png", picture),
        ("progressive", encode((120, 90), progressive=True)),
    ):
        for share in (1, 10, 50, 90, 99):
            yield f"{name} cut at {share}%", whole[: len(whole) * share // 100]
        dice = random.Random(name)
        for i in range(12):
            damaged = bytearray(whole)
            for _ in range(1 + i):
                damaged[dice.randrange(2, len(damaged))] = dice.randrange(256)
            yield f"{name} with {1 + i} random bytes, no. {i}", bytes(damaged)
        yield f"{name} with a tail", whole + b"x" * 100_000
        yield f"{name} twice", whole + whole
    yield "jpeg start, then zeros", jpeg[:200] + bytes(50_000)
    yield "jpeg end markers", b"\xff\xd8" + b"\xff\xd9" * 1000
    yield "jpeg that fills markers", b"\xff\xd8" + b"\xff" * 100_000
    yield (
        "jpeg that lies about its size",
        jpeg.replace(struct.pack(">HH", 90, 120), struct.pack(">HH", 4999, 4999)),
    )
    yield "jpeg of 65535x65535", jpeg.replace(struct.pack(">HH", 90, 120), b"\xff\xff\xff\xff")
    yield "jpeg of no size", jpeg.replace(struct.pack(">HH", 90, 120), bytes(4))
    yield "png bomb", png(4999, 4999, bytes(4999 * (4999 * 3 + 1)))
    yield "png of 2^31", png(2**31 - 1, 2**31 - 1, b"")
    yield "png without pixels", png(64, 64, b"")
    yield "png with too many pixels", png(64, 64, bytes(10_000_000))
    yield "png, depth 3", png(64, 64, bytes(64 * 193), depth=3)
    yield "png, colour 7", png(64, 64, bytes(64 * 193), colour=7)
    yield "png, wrong interlace", png(64, 64, bytes(64 * 193), interlace=9)
    yield "png, 16 bit", png(64, 64, bytes(64 * (64 * 6 + 1)), depth=16)
    yield "png with a wrong checksum", picture[:-10] + bytes(10)
    yield "png with an endless chunk", picture[:33] + b"\xff\xff\xff\xffIDAT" + picture[41:]
    yield "apng", picture[:33] + chunk(b"acTL", struct.pack(">II", 9999, 0)) + picture[33:]
    yield "png with a transparent colour", picture[:33] + chunk(b"tRNS", bytes(6)) + picture[33:]
    for mode, kind in (("RGB", "GIF"), ("RGB", "WEBP"), ("RGBA", "WEBP"), ("RGB", "BMP"), ("RGB", "TIFF")):
        yield f"{kind} {mode}", encode((64, 64), mode, kind)
    yield "svg", b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"/>'
    yield "pdf", b"%PDF-1.7\n" + bytes(100)
    yield "zip", b"PK\x03\x04" + bytes(100)
    yield "zeros", bytes(1000)
    yield "noise", random.Random(1).randbytes(5000)
    yield "one byte", b"\xff"
    for path in sorted(Path(os.environ.get("FACECLOUD_HOSTILE_DIR", "/nonexistent")).glob("**/*")):
        if path.is_file():
            yield path.name, path.read_bytes()


CORPUS = dict(corpus())


def test_every_file_gets_a_documented_code(caller: Caller, app: App, worker: Process) -> None:
    workers = {found.id for found in alive()}
    wrong = {}
    for api in ("face_detect", "face_analyse"):
        for name, data in CORPUS.items():
            answer = caller.call([inline(data)], f"/api/v1/{api}.json")
            valkey.client().delete(unpaid._key(app.customer_id))  # the limit has tests of its own
            row = errors.TABLE.get(answer.code)
            if answer.code not in IMAGE_CODES or answer.status != (row.http if row else 200):
                wrong[f"{api} {name}"] = answer.json
    assert wrong == {}
    assert {found.id for found in alive()} == workers
    assert not app.debits.filter(state="held").exists()
    settled = app.debits.filter(state__in=quota.SETTLING_OR_SETTLED).count()
    assert settled == app.calls.filter(code=0).count()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("GIF RGB", 4002),
        ("png with a transparent colour", 4002),
        ("jpeg cut at 50%", 4003),
        ("png without pixels", 4003),
        ("jpeg of 65535x65535", 4008),
        ("png of 2^31", 4008),
        ("pdf", 4012),
        ("zeros", 4012),
    ],
)
def test_the_code_matches_the_fault(caller: Caller, name: str, code: int) -> None:
    assert caller.call([inline(CORPUS[name])]).code == code
