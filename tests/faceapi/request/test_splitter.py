"""The streaming splitter agrees with json.loads and base64, for any pieces and escapes."""

import base64
import json
import os
import tracemalloc
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceapi import errors
from faceapi.errors import ApiError
from faceapi.request import base64_text, data_url
from faceapi.request.data_url import Blob
from faceapi.request.splitter import LONG, MAX_TEXT_BYTES, SHORT, Splitter
from faceapi.request.spool import Budget, Spool

MAX_BLOB = 20_000
PREFIX = base64_text.PREFIXES[0]


def split(body: bytes, cuts: list[int], *, max_blobs: int = 5, max_blob_bytes: int = MAX_BLOB) -> Any:
    """Return the parsed body, each Blob replaced by its bytes, or by its code if it has one."""
    with Spool(Budget(10**9, 10**9)) as spool:
        splitter = Splitter(spool, max_blobs=max_blobs, max_blob_bytes=max_blob_bytes)
        edges = [0, *sorted({cut % (len(body) + 1) for cut in cuts}), len(body)]
        for start, end in pairwise(edges):
            splitter.feed(body[start:end])
        return resolve(splitter.close(), spool)


def resolve(value: Any, spool: Spool) -> Any:
    if isinstance(value, Blob):
        if value.code:
            return value.code
        with spool.view(value.span) as view:
            return bytes(view)
    if isinstance(value, list):
        return [resolve(item, spool) for item in value]
    if isinstance(value, dict):
        return {key: resolve(item, spool) for key, item in value.items()}
    return value


def oracle(value: Any, *, max_blob_bytes: int = MAX_BLOB) -> Any:
    """Return what the splitter must return for a parsed value: long data: strings are decoded."""
    if isinstance(value, str) and len(value) > SHORT and value.lstrip()[:5].lower() == "data:":
        prefix, comma, text = value.partition(",")
        if "".join(prefix.split()) + comma not in base64_text.PREFIXES:
            return errors.BASE64
        try:
            cleaned = text.translate(str.maketrans("-_", "+/", " \t\r\n\f\v")).encode("ascii")
            padding = b"" if b"=" in cleaned else b"=" * (-len(cleaned) % 4)
            if len(cleaned + padding) % 4:  # b64decode accepts surplus padding
                return errors.BASE64
            decoded = base64.b64decode(cleaned + padding, validate=True)
        except ValueError:
            return errors.BASE64
        return decoded if len(decoded) <= max_blob_bytes else errors.IMAGE_TOO_LARGE
    if isinstance(value, list):
        return [oracle(item, max_blob_bytes=max_blob_bytes) for item in value]
    if isinstance(value, dict):
        return {key: oracle(item, max_blob_bytes=max_blob_bytes) for key, item in value.items()}
    return value


def code_of(body: bytes, cuts: list[int], **limits: int) -> int:
    with pytest.raises(ApiError) as caught:
        split(body, cuts, **limits)
    return caught.value.code


@st.composite
def base64_strings(draw: st.DrawFn) -> str:
    """Return a picture as a client may write it: either alphabet, padded or not, wrapped or not."""
    size = draw(st.integers(SHORT * 3 // 4, SHORT * 3))
    data = (draw(st.binary(min_size=1, max_size=64)) * size)[:size]
    text = draw(st.sampled_from([base64.b64encode, base64.urlsafe_b64encode]))(data).decode()
    if draw(st.booleans()):
        text = text.rstrip("=")
    if draw(st.booleans()):
        width = draw(st.integers(1, 80)) * 7
        text = "\n".join(text[i : i + width] for i in range(0, len(text), width))
    space = st.sampled_from(["", " ", "\n "])
    return draw(space) + draw(st.sampled_from(base64_text.PREFIXES)) + draw(space) + text


odd_strings = st.one_of(
    st.text(max_size=60),
    st.text(alphabet='\\"/{}[]:,data;bs64=', max_size=60),
    st.just(PREFIX + "A" * SHORT + "!"),
    st.just(PREFIX + "A" * (SHORT + 1) + "=="),
    st.just("data:text/plain," + "é" * SHORT),
    st.just("data:" + "A" * SHORT),
    st.just("x" * (SHORT * 2)),
    st.just("@blob:0"),
)
values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), odd_strings
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
cut_lists = st.lists(st.integers(0, 10**6), max_size=12)


def escaped_slashes(text: str) -> str:
    """Escape slashes, as PHP does in JSON."""
    return text.replace("/", "\\/")


@settings(deadline=None, max_examples=150)
@given(
    pictures=st.lists(base64_strings(), max_size=3),
    others=st.dictionaries(st.text(max_size=8), values, max_size=3),
    ascii_only=st.booleans(),
    slashes=st.booleans(),
    cuts=cut_lists,
)
def test_the_splitter_agrees_with_json_loads(
    pictures: list[str], others: dict[str, Any], ascii_only: bool, slashes: bool, cuts: list[int]
) -> None:
    text = json.dumps({**others, "data": pictures}, ensure_ascii=ascii_only)
    body = (escaped_slashes(text) if slashes else text).encode("utf-8", "surrogatepass")
    try:
        expected = oracle(json.loads(body.decode()))
    except ValueError:
        assert code_of(body, cuts, max_blobs=1000) == errors.JSON
        return
    assert split(body, cuts, max_blobs=1000) == expected


# json.loads accepts a space in base64, which the splitter reports as a URL-decoded "+" (4006).
junk_without_spaces = st.binary(max_size=3).filter(lambda junk: b" " not in junk)


@settings(deadline=None, max_examples=150)
@given(base64_strings(), st.integers(0, 10**6), junk_without_spaces, cut_lists)
def test_a_damaged_body_is_refused_if_json_loads_refuses_it(
    picture: str, place: int, junk: bytes, cuts: list[int]
) -> None:
    body = bytearray(json.dumps({"data": [picture, "x"]}).encode())
    place %= len(body)
    body[place : place + 1] = junk
    try:
        expected = oracle(json.loads(bytes(body).decode()))
    except ValueError:
        assert code_of(bytes(body), cuts) == errors.JSON
        return
    assert split(bytes(body), cuts) == expected


def test_an_escaped_body_may_be_split_at_every_byte() -> None:
    data = bytes(range(256)) * 20
    picture = PREFIX + base64.b64encode(data).decode()
    text = (
        json.dumps({"a\\": '\\"\\', "data": [picture]})
        .replace("/", "\\u002F")
        .replace("data:", "\\u0064ata:")
    )
    body = text.encode()
    expected = {"a\\": '\\"\\', "data": [data]}
    assert oracle(json.loads(text)) == expected
    for cut in [*range(200), *range(len(body) - 200, len(body))]:
        assert split(body, [cut]) == expected
    for width in (1, 2, 3, 5, 7, 64):
        assert split(body, list(range(0, len(body), width))) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"data": [}',
        b'"' + b"a" * 10_000,
        b'{"data": ["' + PREFIX.encode() + b"A" * 9000,
        b'{"data": [NaN]}',
        b'{"data": [Infinity]}',
        b"[" * 100_000,
        b'{"a": ' + b"9" * 10_000 + b"}",
        b'{"data": ["' + PREFIX.encode() + b"A" * 9000 + b'\n"]}',
        b'{"data": ["' + PREFIX.encode() + b"A" * 9000 + b'\xff"]}',
        b'{"data": ["' + PREFIX.encode() + b"A" * 9000 + b'\\x41"]}',
        b'{"data": ["' + PREFIX.encode() + b"A" * 90_000 + b'\x01"]}',  # too large, and invalid JSON
        '{"data": []}'.encode("utf-16"),
        b'{"data": ["' + b"x" * LONG + b'\x01"]}',
        b'{"data": ["' + b"x" * LONG + b'\xff"]}',
        b'{"data": ["' + (b"x" * (LONG - 1) + b'","') * (MAX_TEXT_BYTES // LONG + 1) + b'"]}',
        b"[" + b'"",' * (MAX_TEXT_BYTES // 3) + b'""]',
    ],
)
def test_invalid_json_is_4007(body: bytes) -> None:
    assert code_of(body, list(range(0, len(body), 50_000))) == errors.JSON


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the body is empty"),
        (b" \n", "the body is empty"),
        (b"data=x", "Expecting value at byte 0 of 6"),
        (b'\xef\xbb\xbf{"data": [],}', "at byte 15 of 16"),
        ('{"图": 1 "data": 2}'.encode(), "Expecting ',' delimiter at byte 10 of 20"),
        (b'{"data": ["a\nb"]}', "Invalid control character at byte 12 of 17"),
        (b'{"data": [NaN]}', "NaN is not valid JSON"),
        (b'{"data": [-Infinity]}', "-Infinity is not valid JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "a number with too many digits"),
        (b'{"a": "\xc3("}', "not UTF-8 at byte 7 of 11"),
        ('{"data": []}'.encode("utf-16"), "looks like UTF-16"),
        ('{"data": []}'.encode("utf-16-le"), "looks like UTF-16"),
        (b"[" * 19_000, "nested too deeply"),
        (b"[" * 100_000, "commas, colons, brackets and quotes"),
        (b'{"a": "' + b'\\"' * 50_000 + b'"}', "more escapes than"),
        (b" " * (MAX_TEXT_BYTES + 1), f"more than {MAX_TEXT_BYTES} bytes of JSON"),
    ],
)
def test_4007_states_what_is_wrong_and_where(body: bytes, said: str) -> None:
    with pytest.raises(ApiError) as caught:
        split(body, [len(body) // 2])
    assert said in caught.value.detail


def test_the_position_in_4007_counts_the_bytes_of_the_pictures_too() -> None:
    picture = PREFIX + "A" * (SHORT + 4)
    body = json.dumps({"data": [picture, picture]}).encode()[:-1] + b"]"
    with pytest.raises(ApiError) as caught:
        split(body, [100, 5000])
    assert f"at byte {len(body) - 1} of {len(body)}" in caught.value.detail


def faults(*texts: str) -> list[tuple[int, str]]:
    """Yield code and detail of each string that the splitter extracts."""
    with Spool(Budget(10**9, 10**9)) as spool:
        splitter = Splitter(spool, max_blobs=1, max_blob_bytes=MAX_BLOB)
        splitter.feed(json.dumps({"data": texts}, ensure_ascii=False).encode())
        splitter.close()
        return [(blob.code, blob.detail) for blob in splitter.blobs]


def test_a_long_string_without_prefix_is_rejected() -> None:
    """With its own code, because with 4007 the caller would look for a fault in the JSON."""
    bare = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(2 * MAX_TEXT_BYTES)).decode()
    expected = (errors.URL_WRONG, f"base64 without its prefix {PREFIX}")
    assert faults(bare, bare) == [expected, expected]
    assert faults("x" * (LONG + 1)) == [(errors.URL_WRONG, base64_text.NO_PREFIX)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("%2B", "'%' is not a base64 character"),
        ("\u4e2d", "'\\u4e2d' is not a base64 character"),
        ("=AAAA", "'=' before its end"),
        ("A=A", "'=' before its end"),
        ("A", "a single character is left over"),
        ("AA=", "ends with 1 '=' instead of 2"),
        ("====", "ends with 4 '=' instead of 0"),
    ],
)
def test_4006_states_what_is_invalid(text: str, said: str) -> None:
    ((code, detail),) = faults(PREFIX + "A" * (SHORT + 4 - SHORT % 4) + text)
    assert (code, said in detail) == (errors.BASE64, True), detail
    with Spool(Budget(10**9, 10**9)) as spool:
        short = data_url.decode(PREFIX + "AAAA" + text, spool)
    assert (short.code, said in short.detail) == (errors.BASE64, True), short.detail


def test_a_byte_order_mark_is_tolerated() -> None:
    assert split(b'\xef\xbb\xbf{"data": []}', []) == {"data": []}


def test_too_many_pictures_are_refused_before_the_rest_is_read() -> None:
    picture = PREFIX + "A" * (SHORT + 4)
    body = json.dumps({"data": [picture] * 6}).encode()
    assert code_of(body[:-6], []) == errors.TOO_MANY_IMAGES


def test_an_oversized_picture_is_reported_with_its_code() -> None:
    small, large = PREFIX + "A" * 8000, PREFIX + "A" * (MAX_BLOB * 4 // 3 + 8)
    body = json.dumps({"data": [small, large]}).encode()
    assert split(body, [30_000]) == {"data": [bytes(6000), errors.IMAGE_TOO_LARGE]}


def test_a_client_cannot_forge_a_placeholder() -> None:
    with Spool(Budget(10**9, 10**9)) as spool:
        splitter = Splitter(spool, max_blobs=2, max_blob_bytes=MAX_BLOB)
        picture = PREFIX + "A" * (SHORT + 4)
        splitter.feed(json.dumps({"data": [picture]}).encode())
        token = splitter._token
    body = json.dumps({"data": [picture, f"{token}0", "0" * 33, "@blob:0"]}).encode()
    assert split(body, [])["data"][1:] == [f"{token}0", "0" * 33, "@blob:0"]


def test_memory_is_bounded_for_any_body() -> None:
    piece = base64.b64encode(os.urandom(192 * 1024))
    with Spool(Budget(10**9, 10**9)) as spool:
        splitter = Splitter(spool, max_blobs=100, max_blob_bytes=10 * 1024 * 1024)
        tracemalloc.start()
        for i in range(20):
            splitter.feed((b'{"data": ["' if not i else b'","') + PREFIX.encode())
            for _ in range(40):
                splitter.feed(piece)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        splitter.feed(b'"]}')
        assert len(splitter.close()["data"]) == 20
    assert spool.size == 20 * 40 * 192 * 1024
    assert peak < 4 * 1024 * 1024
