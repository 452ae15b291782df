"""The signature of a request (manual 4.1.3): pure functions of plain values.

    METHOD \n path \n query as received \n X-CTYUN-DT \n sha1hex(raw body)

without a newline at the end; an empty query keeps its newline. The signature is the lower-case hex
HMAC-SHA256 of that, keyed with the SecretKey's 32 hex characters as ASCII. Path and query are taken exactly
as they stand in the request line: percent-encoding and order untouched.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

SCHEME = "CTYUN"
DATE_HEADER = "X-CTYUN-DT"
_PREFIXES = ("/api/v1/", "/face/api/v1/", "/v1/")  # the manual prints all of them
_AUTHORIZATION = re.compile(r"CTYUN +([0-9A-Za-z]{1,64}):([0-9a-fA-F]{64})", re.ASCII)
_MILLISECONDS = re.compile(r"[0-9]{1,16}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Authorization:
    app_key: str
    signature: str


def canonical(method: str, path: str, query: str, timestamp_ms: str, body_sha1: str) -> bytes:
    """The string to sign. `body_sha1` is lower-case hex; the other parts are as on the wire (latin-1)."""
    return f"{method}\n{path}\n{query}\n{timestamp_ms}\n{body_sha1}".encode("latin-1", "replace")


def signature(secret: str, to_sign: bytes) -> str:
    return hmac.new(secret.encode("ascii"), to_sign, hashlib.sha256).hexdigest()


def matches(secret: str, to_sign: bytes, given: str) -> bool:
    """Compare in constant time; upper-case hex of the right signature is taken too."""
    return hmac.compare_digest(signature(secret, to_sign), given.lower())


def likely_mistake(
    app_key: str, secret: str, given: str, method: str, path: str, query: str, timestamp_ms: str, sha1: str
) -> str:
    """Which common mistake a wrong signature was made with, or an empty string.

    Only who knows the SecretKey can make a signature that is found here, so nothing is given away.
    """

    def text(method: str = method, path: str = path, query: str = query, sha1: str = sha1) -> bytes:
        return canonical(method, path, query, timestamp_ms, sha1)

    right, name = text(), path.rpartition("/")[2]
    no_body = hashlib.sha1(b"", usedforsecurity=False).hexdigest()
    tried: list[tuple[str, bytes]] = [
        *((f"for the path {prefix}{name}", text(path=prefix + name)) for prefix in _PREFIXES),
        ("for the path percent-decoded", text(path=unquote(path))),
        ("for the query percent-decoded", text(query=unquote(query))),
        ("for the query sorted", text(query="&".join(sorted(query.split("&"))))),
        ("with the query as a part of the path", text(path=f"{path}?{query}", query="")),
        ("without the line of the empty query", right.replace(b"\n\n", b"\n", 1)),
        ("for an empty query", text(query="")),
        ("for an empty body", text(sha1=no_body)),
        ("for the body's SHA-1 in capitals", text(sha1=sha1.upper())),
        ("for the method in lower case", text(method=method.lower())),
        ("with a newline at the end", right + b"\n"),
        ("with CR LF between the lines", right.replace(b"\n", b"\r\n")),
    ]
    for mistake, signed in tried:
        if signed != right and matches(secret, signed, given):
            return f"it is right {mistake}"
    if matches(app_key, right, given):
        return "it is made with the AppKey in place of the SecretKey"
    if hmac.compare_digest(hmac.new(bytes.fromhex(secret), right, hashlib.sha256).hexdigest(), given.lower()):
        return "it is made with the SecretKey's 16 bytes; use its 32 hex digits as they are"
    return ""


def sign(
    app_key: str, secret: str, method: str, path: str, query: str, timestamp_ms: int, body: bytes
) -> dict[str, str]:
    """The two headers of a signed request. `path` and `query` as they will stand in the request line."""
    to_sign = canonical(
        method, path, query, str(timestamp_ms), hashlib.sha1(body, usedforsecurity=False).hexdigest()
    )
    return {
        "Authorization": f"{SCHEME} {app_key}:{signature(secret, to_sign)}",
        DATE_HEADER: str(timestamp_ms),
    }


def parse_authorization(header: str) -> Authorization | None:
    """`CTYUN <AppKey>:<64 hex>`; None where it is anything else."""
    found = _AUTHORIZATION.fullmatch(header.strip())
    return Authorization(found[1], found[2]) if found else None


def authorization_fault(header: str) -> str:
    """What is wrong with a header that `parse_authorization` refuses. Nothing of it is quoted."""
    if not header:
        return "there is no Authorization header"
    scheme, _, rest = header.partition(" ")
    app_key, colon, given = rest.strip().partition(":")
    if scheme != SCHEME:
        fault = "the scheme is not CTYUN, in capitals, and a space"
    elif not colon:
        fault = "there is no colon"
    elif not app_key.isalnum():
        fault = "the AppKey is not hex digits alone"
    elif len(given) != 64:
        fault = f"the signature has {len(given)} characters, HMAC-SHA256 in hex has 64"
    else:
        fault = "the signature is not hex"
    return f"{fault}; expected: CTYUN <AppKey>:<signature>"


def parse_timestamp(header: str) -> int | None:
    """Milliseconds since 1970 in decimal digits; None where it is anything else."""
    return int(header) if _MILLISECONDS.fullmatch(header) else None


def split_target(target: str) -> tuple[str, str]:
    """Path and query of a request target as received: origin form or absolute form, both untouched."""
    if not target.startswith("/"):
        _, found, rest = target.partition("://")
        if found:
            slash = min((i for i in (rest.find("/"), rest.find("?")) if i >= 0), default=len(rest))
            target = rest[slash:]
    path, _, query = target.partition("?")
    return path, query


def quote_path(path: str) -> str:
    """A WSGI path (latin-1 of the decoded bytes) percent-encoded again, where no raw target was kept."""
    return quote(path.encode("latin-1"), safe="/!$&'()*+,;=:@-._~")
