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
PREFIXES = ("/api/v1/", "/face/api/v1/", "/v1/")  # the manual prints all of them
_AUTHORIZATION = re.compile(r"CTYUN +([0-9A-Za-z]{1,64}):([0-9a-fA-F]{64})", re.ASCII)
_ESCAPE = re.compile(r"%[0-9a-fA-F]{2}", re.ASCII)
_MILLISECONDS = re.compile(r"[0-9]{1,16}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Authorization:
    app_key: str
    signature: str


def canonical(method: str, path: str, query: str, timestamp_ms: str, body_sha1: str) -> bytes:
    """Return the string to sign. `body_sha1` is lower-case hex; the rest is as on the wire (latin-1)."""
    return f"{method}\n{path}\n{query}\n{timestamp_ms}\n{body_sha1}".encode("latin-1", "replace")


def signature(secret: str, to_sign: bytes) -> str:
    return hmac.new(secret.encode("ascii"), to_sign, hashlib.sha256).hexdigest()


def matches(secret: str, to_sign: bytes, given: str) -> bool:
    """Return whether the signature is valid, compared in constant time; upper-case hex is accepted too."""
    return hmac.compare_digest(signature(secret, to_sign), given.lower())


def _upper_escapes(text: str) -> str:
    return _ESCAPE.sub(lambda found: found[0].upper(), text)


def _lower_escapes(text: str) -> str:
    return _ESCAPE.sub(lambda found: found[0].lower(), text)


def mistaken_texts(
    method: str, path: str, query: str, timestamp_ms: str, sha1: str
) -> list[tuple[str, str, bytes]]:
    """Return the strings that clients sign by mistake, each with the mistake in English and Chinese."""

    def text(method: str = method, path: str = path, query: str = query, sha1: str = sha1) -> bytes:
        return canonical(method, path, query, timestamp_ms, sha1)

    right, name = text(), path.rpartition("/")[2]
    no_body = hashlib.sha1(b"", usedforsecurity=False).hexdigest()
    return [
        *(
            (f"for the path {prefix}{name}", f"签名用的是路径 {prefix}{name}", text(path=prefix + name))
            for prefix in PREFIXES
        ),
        ("for the percent-decoded path", "签名时路径做了百分号解码", text(path=unquote(path))),
        ("for the percent-decoded query", "签名时参数做了百分号解码", text(query=unquote(query))),
        (
            "for the query with + in place of %20",
            "签名时参数中的空格写成了 +，发送的是 %20",
            text(query=query.replace("%20", "+")),
        ),
        (
            "for the query with %20 in place of +",
            "签名时参数中的空格写成了 %20，发送的是 +",
            text(query=query.replace("+", "%20")),
        ),
        (
            "for the percent-encoding with hex digits in upper case",
            "签名时百分号编码用的是大写十六进制，与发送的不同",
            text(path=_upper_escapes(path), query=_upper_escapes(query)),
        ),
        (
            "for the percent-encoding with hex digits in lower case",
            "签名时百分号编码用的是小写十六进制，与发送的不同",
            text(path=_lower_escapes(path), query=_lower_escapes(query)),
        ),
        ("for the sorted query", "签名时参数重新排了序", text(query="&".join(sorted(query.split("&"))))),
        (
            "with the query as a part of the path",
            "签名时参数成了路径的一部分",
            text(path=f"{path}?{query}", query=""),
        ),
        ("without the line for the empty query", "缺少空参数的那一行", right.replace(b"\n\n", b"\n", 1)),
        ("for an empty query", "签名时参数为空", text(query="")),
        ("for an empty body", "签名时请求体为空", text(sha1=no_body)),
        ("for the body's SHA-1 in upper case", "请求体的 SHA-1 应为小写", text(sha1=sha1.upper())),
        ("for the method in lower case", "请求方法应为大写", text(method=method.lower())),
        ("with a newline at the end", "末尾多了一个换行", right + b"\n"),
        ("with CR LF between the lines", "换行应为 LF，而不是 CR LF", right.replace(b"\n", b"\r\n")),
    ]


def likely_mistake(
    app_key: str, secret: str, given: str, method: str, path: str, query: str, timestamp_ms: str, sha1: str
) -> tuple[str, str]:
    """Return the common mistake behind a wrong signature, in English and Chinese, or empty strings.

    This reveals nothing: only the owner of the SecretKey can produce a signature that matches here.
    """
    right = canonical(method, path, query, timestamp_ms, sha1)
    for mistake, mistake_zh, signed in mistaken_texts(method, path, query, timestamp_ms, sha1):
        if signed != right and matches(secret, signed, given):
            return f"it would be right {mistake}", mistake_zh
    if matches(app_key, right, given):
        return (
            "it was computed with the AppKey in place of the SecretKey",
            "签名用了 AppKey，应使用 SecretKey",
        )
    if hmac.compare_digest(hmac.new(bytes.fromhex(secret), right, hashlib.sha256).hexdigest(), given.lower()):
        return (
            "it was computed with the SecretKey's 16 bytes; use its 32 hex digits as they are",
            "签名用了 SecretKey 所表示的 16 个字节，应直接使用它的 32 位十六进制字符",
        )
    return "", ""


def sign(
    app_key: str, secret: str, method: str, path: str, query: str, timestamp_ms: int, body: bytes
) -> dict[str, str]:
    """Return the two headers of a signed request. `path` and `query` are those of the request line."""
    to_sign = canonical(
        method, path, query, str(timestamp_ms), hashlib.sha1(body, usedforsecurity=False).hexdigest()
    )
    return {
        "Authorization": f"{SCHEME} {app_key}:{signature(secret, to_sign)}",
        DATE_HEADER: str(timestamp_ms),
    }


def parse_authorization(header: str) -> Authorization | None:
    """Parse `CTYUN <AppKey>:<64 hex>`; return None for anything else."""
    found = _AUTHORIZATION.fullmatch(header.strip())
    return Authorization(found[1], found[2]) if found else None


def authorization_fault(header: str) -> tuple[str, str]:
    """Return what is wrong with a header that `parse_authorization` rejects, in English and Chinese.

    The header itself is not quoted.
    """
    if not header:
        return "there is no Authorization header", "没有 Authorization 请求头"
    scheme, _, rest = header.partition(" ")
    app_key, colon, given = rest.strip().partition(":")
    if scheme != SCHEME:
        fault, fault_zh = (
            "it does not start with CTYUN in upper case and a space",
            "开头不是大写的 CTYUN 和一个空格",
        )
    elif not colon:
        fault, fault_zh = "there is no colon", "没有冒号"
    elif not app_key.isalnum():
        fault, fault_zh = "the AppKey contains characters other than hex digits", "AppKey 不全是十六进制数字"
    elif len(given) != 64:
        fault = f"the signature has {len(given)} characters instead of 64, the hex digits of HMAC-SHA256"
        fault_zh = f"签名有 {len(given)} 个字符，十六进制的 HMAC-SHA256 是 64 个"
    else:
        fault, fault_zh = "the signature is not hex", "签名不是十六进制"
    return f"{fault}; expected: CTYUN <AppKey>:<signature>", f"{fault_zh}；应为 CTYUN <AppKey>:<签名>"


def parse_timestamp(header: str) -> int | None:
    """Parse milliseconds since 1970 in decimal digits; return None for anything else."""
    return int(header) if _MILLISECONDS.fullmatch(header) else None


def split_target(target: str) -> tuple[str, str]:
    """Return path and query, both unchanged, of a request target in origin form or absolute form."""
    if not target.startswith("/"):
        _, found, rest = target.partition("://")
        if found:
            slash = min((i for i in (rest.find("/"), rest.find("?")) if i >= 0), default=len(rest))
            target = rest[slash:]
    path, _, query = target.partition("?")
    return path, query


def quote_path(path: str) -> str:
    """Percent-encode a WSGI path, whose decoded bytes are given as latin-1, for servers without RAW_URI."""
    return quote(path.encode("latin-1"), safe="/!$&'()*+,;=:@-._~")
