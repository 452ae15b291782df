"""The signature (manual 4.1.3): the golden vector, headers, and the request target as received."""

import hashlib
import hmac
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceapi.authentication import signing

SECRET = "0123456789abcdef0123456789abcdef"
BODY = b'{"data": ["https://example.org/example.png"]}'
GOLDEN = "4ce71311d8e2adf7a550633f70aece92c3e8003f2b4a0a5665506ed79d49cca0"


def test_the_signature_equals_the_golden_vector() -> None:
    headers = signing.sign(
        "0123456789abcdef", SECRET, "POST", "/api/v1/face_detect.json", "", 1544518784923, BODY
    )
    assert headers == {
        "Authorization": f"CTYUN 0123456789abcdef:{GOLDEN}",
        "X-CTYUN-DT": "1544518784923",
    }


def test_an_empty_query_keeps_its_newline_and_nothing_ends_the_string() -> None:
    assert signing.canonical("POST", "/v1/x.json", "", "1", "ab") == b"POST\n/v1/x.json\n\n1\nab"
    assert signing.canonical("POST", "/v1/x.json", "b=2&a=%201", "1", "ab").split(b"\n")[2] == b"b=2&a=%201"


def test_every_part_is_signed() -> None:
    sha1 = hashlib.sha1(BODY).hexdigest()
    parts = ["POST", "/api/v1/face_detect.json", "", "1544518784923", sha1]
    assert signing.matches(SECRET, signing.canonical(*parts), GOLDEN)
    assert signing.matches(SECRET, signing.canonical(*parts), GOLDEN.upper())
    for index in range(len(parts)):
        changed = [*parts]
        changed[index] += "0"
        assert not signing.matches(SECRET, signing.canonical(*changed), GOLDEN)
    assert not signing.matches(SECRET[::-1], signing.canonical(*parts), GOLDEN)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "CTYUN",
        "Bearer abc",
        f"ctyun 0123456789abcdef:{GOLDEN}",
        f"CTYUN :{GOLDEN}",
        f"CTYUN 0123456789abcdef:{GOLDEN[:-1]}",
        f"CTYUN 0123456789abcdef:{GOLDEN}0",
        f"CTYUN 0123456789abcdef {GOLDEN}",
        f"CTYUN 0123456789abcdef:{'g' * 64}",
        f"CTYUN 01234567\u0661:{GOLDEN}",
    ],
)
def test_a_malformed_authorization_is_rejected(header: str) -> None:
    assert signing.parse_authorization(header) is None


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("", "there is no Authorization header"),
        ("Bearer abc", "it does not start with CTYUN"),
        (f"ctyun 0123456789abcdef:{GOLDEN}", "it does not start with CTYUN in upper case"),
        (f"CTYUN0123456789abcdef:{GOLDEN}", "and a space"),
        (f"CTYUN 0123456789abcdef {GOLDEN}", "there is no colon"),
        (f"CTYUN <0123456789abcdef>:{GOLDEN}", "the AppKey contains characters other than hex digits"),
        (f"CTYUN :{GOLDEN}", "the AppKey contains characters other than hex digits"),
        (f"CTYUN 0123456789abcdef:{GOLDEN[:40]}", "the signature has 40 characters"),
        (f"CTYUN 0123456789abcdef:{'g' * 64}", "the signature is not hex"),
    ],
)
def test_the_fault_of_an_authorization_is_named(header: str, said: str) -> None:
    fault, fault_zh = signing.authorization_fault(header)
    assert said in fault
    assert re.search(CHINESE, fault_zh)
    assert GOLDEN[:8] not in fault + fault_zh


CHINESE = r"[\u4e00-\u9fff]"
SENT = ("POST", "/face/api/v1/x.json", "b=2&a=%2F", "7", hashlib.sha1(BODY).hexdigest())
WITHOUT_QUERY = (*SENT[:2], "", *SENT[3:])
NO_BODY = hashlib.sha1(b"").hexdigest()


def lines(*parts: str) -> bytes:
    return "\n".join(parts).encode()


@pytest.mark.parametrize(
    ("sent", "signed", "key", "said"),
    [
        (SENT, lines("POST", "/api/v1/x.json", *SENT[2:]), SECRET, "right for the path /api/v1/x.json"),
        (SENT, lines(*SENT[:2], "b=2&a=/", *SENT[3:]), SECRET, "right for the percent-decoded query"),
        (SENT, lines(*SENT[:2], "a=%2F&b=2", *SENT[3:]), SECRET, "right for the sorted query"),
        (SENT, lines("POST", f"{SENT[1]}?{SENT[2]}", "", *SENT[3:]), SECRET, "a part of the path"),
        (SENT, lines(*WITHOUT_QUERY), SECRET, "right for an empty query"),
        (WITHOUT_QUERY, lines(*SENT[:2], *SENT[3:]), SECRET, "without the line for the empty query"),
        (SENT, lines(*SENT[:4], NO_BODY), SECRET, "right for an empty body"),
        (SENT, lines(*SENT[:4], SENT[4].upper()), SECRET, "SHA-1 in upper case"),
        (SENT, lines("post", *SENT[1:]), SECRET, "the method in lower case"),
        (SENT, lines(*SENT) + b"\n", SECRET, "with a newline at the end"),
        (SENT, lines(*SENT).replace(b"\n", b"\r\n"), SECRET, "with CR LF"),
        (SENT, lines(*SENT), "0123456789abcdef", "the AppKey in place of the SecretKey"),
        (SENT, lines(*SENT), bytes.fromhex(SECRET).decode("latin-1"), "its 32 hex digits as they are"),
        (("POST", "/v1/%61", *SENT[2:]), lines("POST", "/v1/a", *SENT[2:]), SECRET, "percent-decoded path"),
        ((*SENT[:2], "a=b%20c", *SENT[3:]), lines(*SENT[:2], "a=b+c", *SENT[3:]), SECRET, "in place of %20"),
        (
            (*SENT[:2], "a=b+c", *SENT[3:]),
            lines(*SENT[:2], "a=b%20c", *SENT[3:]),
            SECRET,
            "place of \\+",
        ),
        (SENT, lines(*SENT[:2], "b=2&a=%2f", *SENT[3:]), SECRET, "hex digits in lower case"),
        (
            (*SENT[:2], "a=%e4%Bd", *SENT[3:]),
            lines(*SENT[:2], "a=%E4%BD", *SENT[3:]),
            SECRET,
            "hex digits in upper case",
        ),
        (
            ("POST", "/v1/%2f.json", *SENT[2:]),
            lines("POST", "/v1/%2F.json", *SENT[2:]),
            SECRET,
            "hex digits in upper case",
        ),
        (SENT, lines(*SENT), "another secret", ""),
    ],
)
def test_a_common_mistake_is_named(sent: tuple[str, ...], signed: bytes, key: str, said: str) -> None:
    given = hmac.new(key.encode("latin-1"), signed, hashlib.sha256).hexdigest()
    assert not signing.matches(SECRET, lines(*sent), given)
    told, told_zh = signing.likely_mistake("0123456789abcdef", SECRET, given, *sent)
    assert re.search(said, told) if said else told == ""
    assert bool(re.search(CHINESE, told_zh)) == bool(said)


def test_a_valid_authorization_is_parsed() -> None:
    assert signing.parse_authorization(f"CTYUN 0123456789abcdef:{GOLDEN}") == signing.Authorization(
        "0123456789abcdef", GOLDEN
    )


@pytest.mark.parametrize("header", ["", "-1", "1.5", "1e3", " 1", "1 ", "0x1", "\u0661", "1" * 17])
def test_a_malformed_timestamp_is_rejected(header: str) -> None:
    assert signing.parse_timestamp(header) is None


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/v1/a.json", ("/v1/a.json", "")),
        ("/v1/a.json?", ("/v1/a.json", "")),
        ("/v1/a%2Ejson?b=%20&a=1+2", ("/v1/a%2Ejson", "b=%20&a=1+2")),
        ("/v1/a.json?x=1?y=2", ("/v1/a.json", "x=1?y=2")),
        ("http://host:80/v1/a.json?q", ("/v1/a.json", "q")),
        ("https://host?q=/x", ("", "q=/x")),
    ],
)
def test_the_target_is_split_without_decoding(target: str, expected: tuple[str, str]) -> None:
    assert signing.split_target(target) == expected


@given(st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E)), st.binary(max_size=64))
def test_a_signature_made_by_sign_matches(query: str, body: bytes) -> None:
    headers = signing.sign("a" * 16, SECRET, "POST", "/v1/x.json", query, 7, body)
    given_signature = signing.parse_authorization(headers["Authorization"])
    assert given_signature is not None
    to_sign = signing.canonical("POST", "/v1/x.json", query, "7", hashlib.sha1(body).hexdigest())
    assert signing.matches(SECRET, to_sign, given_signature.signature)
