"""CPU time of every parser that runs before a call is authenticated or charged, on worst-case inputs.

`bin/bench parsers` exits with status 1 if one of them takes more than --limit CPU-ms per megabyte. The result
is the CPU time of the process in the best of several rounds, so it is valid on a busy machine.
"""

import argparse
import contextlib
import os
import struct
import sys
import time
import zlib
from collections.abc import Callable
from typing import Any

from common.client_address import client_address

MB = 1024 * 1024
Work = Callable[[bytes], Any]
# .NET writes base64 in lines like this, so it cannot be rejected, and has 42,000 escapes to decode.
ALLOWED = {"picture: base64, some of each escape": 1.5}
SIZE = 4 * MB
PREFIX = b"data:application/octet-stream;base64,"


def fill(pattern: bytes, size: int = SIZE) -> bytes:
    return (pattern * (size // len(pattern) + 1))[:size]


def bodies() -> dict[str, bytes]:
    """Return JSON bodies that are slow to split: one long string, many short ones, every kind of escape."""
    picture = b'{"data":["' + PREFIX
    text = b'{"data":["'
    inside = {
        "base64": b"QUFB",
        "base64, URL-safe": b"_9j-",
        "base64 in lines": b"A" * 76 + b"\\n",
        "base64, escaped slashes": b"\\/",
        "base64, some of each escape": b"A" * 30 + b"\\/" + b"A" * 30 + b"\\u0041" + b"A" * 30 + b"\\r\\n",
        "base64, \\u escapes": b"\\u0041",
        "base64 with white space": b"A ",
        "quotes": b'\\"',
        "backslashes": b"\\\\",
        "not base64": b"!",
        "wrong escapes": b"\\x",
        "not ASCII": "人".encode(),
        "padding": b"=",
        "control characters": b"\x01",
    }
    found = {f"picture: {name}": picture + fill(part) + b'"]}' for name, part in inside.items()}
    found |= {f"string: {name}": text + fill(part) + b'"]}' for name, part in inside.items()}
    short = {
        "empty strings": b'"",',
        "numbers": b"0,",
        "long numbers": b"9" * 4000 + b",",
        "fractions": b"0." + b"1" * 200 + b",",
        "brackets": b"[",
        "objects": b'{"a":1},',
        "URLs": b'"https://example.org/a.png",',
        "strings of 4 KB": b'"' + b"a" * 4090 + b'",',
        "strings of 4 KB, escaped": b'"' + b"\\/" * 2000 + b'",',
        "strings of 60 KB, escaped": b'"' + b"\\u0041" * 10_000 + b'",',
        "white space": b" ",
        "short pictures": b'"' + PREFIX + b'QUFB",',
        "many long strings": b'"' + b"b" * 65_540 + b'",',
    }
    for size, label in ((MB - 1024, "1 MB"), (SIZE, "4 MB")):
        found |= {
            f"text of {label}: {name}": b'{"data":[' + fill(part, size) + b"0]}"
            for name, part in short.items()
        }
    return found


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def pictures() -> dict[str, bytes]:
    """Return pictures whose headers are slow to parse."""
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0))
    exif = b"MM\0*\0\0\0\x08" + struct.pack(">H", 65535) + bytes(6200)
    return {
        "JPEG: FF 00": b"\xff\xd8" + fill(b"\xff\x00"),
        "JPEG: FF FF": b"\xff\xd8" + fill(b"\xff"),
        "JPEG: zeros": b"\xff\xd8" + fill(b"\x00"),
        "JPEG: empty segments": b"\xff\xd8" + fill(b"\xff\xe0\x00\x02"),
        "JPEG: bare markers": b"\xff\xd8" + fill(b"\xff\xd0"),
        "JPEG: scans": b"\xff\xd8" + fill(b"\xff\xda\x00\x02\x00"),
        "JPEG: EXIF segments": b"\xff\xd8" + fill(b"\xff\xe1" + struct.pack(">H", 6300) + b"Exif\0\0" + exif),
        "PNG: empty chunks": png + fill(chunk(b"abCd", b"")),
        "PNG: EXIF chunks": png + fill(chunk(b"eXIf", exif)),
        "PNG: text chunks": png + fill(chunk(b"tEXt", b"Raw profile type exif\0" + b"\n" * 200)),
    }


def split(body: bytes) -> None:
    from faceapi.errors import ApiError
    from faceapi.request.body import MAX_IMAGES, PIECE_BYTES
    from faceapi.request.splitter import Splitter
    from faceapi.request.spool import Budget, Spool
    from inference.images import headers

    with Spool(Budget(10**9, 10**9)) as spool:
        splitter = Splitter(spool, max_blobs=MAX_IMAGES, max_blob_bytes=headers.MAX_BYTES)
        try:
            for at in range(0, len(body), PIECE_BYTES):
                splitter.feed(body[at : at + PIECE_BYTES])
            splitter.close()
        except ApiError:
            pass  # faceapi.request.body continues without the splitter


def read_header(picture: bytes) -> None:
    from inference.errors import ImageError
    from inference.images import headers

    with contextlib.suppress(ImageError):
        headers.read_header(memoryview(picture))


def heads(_: bytes) -> None:
    """Parse the headers of 128 requests of 8 KB each, the maximum that gunicorn accepts."""
    from faceapi.authentication import signing

    for part in (",", "1", "a:", "\t", "10.0.0.1,", "%2f", "&="):
        header = (part * 8190)[:8190]
        for _ in range(128 // 7 + 1):
            signing.parse_authorization(header)
            signing.authorization_fault(header)
            signing.parse_timestamp(header)
            signing.split_target(header)
            client_address({"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": header})


def cpu_ms_per_mb(work: Work, content: bytes, *, rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        work(content)
        best = min(best, time.process_time() - started)
    return best * 1000 / max(1.0, len(content) / MB)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bin/bench parsers", description=__doc__)
    parser.add_argument("--limit", type=float, default=10.0, help="CPU-ms for each megabyte (default: 10)")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    import django
    from django.conf import settings

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "facecloud.settings")
    os.environ.setdefault("DJANGO_SECRET_KEY", "of a benchmark")
    os.environ.setdefault("ENCRYPTION_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
    os.environ.setdefault("TRUSTED_PROXIES", "10.0.0.0/8")
    django.setup()
    assert settings.configured
    cases: list[tuple[str, Work, bytes]] = [
        *((name, split, body) for name, body in bodies().items()),
        *((name, read_header, picture) for name, picture in pictures().items()),
        ("headers of requests", heads, bytes(MB)),
    ]
    over = 0
    for name, work, content in cases:
        found = cpu_ms_per_mb(work, content, rounds=arguments.rounds)
        is_over = found > arguments.limit * ALLOWED.get(name, 1.0)
        over += is_over
        print(f"{name:45} {found:8.2f} ms/MB{'   OVER THE LIMIT' if is_over else ''}", flush=True)
    if over:
        print(f"{over} of {len(cases)} inputs take more than {arguments.limit:g} ms/MB", file=sys.stderr)
    return int(over > 0)


if __name__ == "__main__":
    sys.exit(main())
