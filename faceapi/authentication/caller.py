"""Identify the caller from the headers, and verify the signature of the request (manual 4.1.3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from accounts import keys
from accounts.models import AppKey
from common import client_address
from faceapi import errors
from faceapi.authentication import signing
from faceapi.errors import ApiError


@dataclass(frozen=True, slots=True)
class Claim:
    """What the headers claim; the signature is not verified yet."""

    authorization: signing.Authorization
    timestamp_text: str
    timestamp_ms: int


def read_claim(meta: Mapping[str, Any]) -> Claim:
    """Parse the headers. Raises ApiError 4101 or 4103 if their form is wrong."""
    header = meta.get("HTTP_AUTHORIZATION", "").strip()
    authorization = signing.parse_authorization(header)
    if authorization is None:
        raise ApiError(errors.NO_AUTHORIZATION, *signing.authorization_fault(header))
    text = meta.get("HTTP_X_CTYUN_DT", "").strip()
    timestamp_ms = signing.parse_timestamp(text)
    if timestamp_ms is None:
        found, found_zh = "there is no X-CTYUN-DT header", "没有 X-CTYUN-DT 请求头"
        if text:
            found, found_zh = "X-CTYUN-DT is not a number", "X-CTYUN-DT 不是数字"
        raise ApiError(
            errors.BAD_DATE,
            f"{found}; expected: the Unix time in milliseconds, 13 digits",
            f"{found_zh}；应为毫秒级 Unix 时间戳，13 位数字",
        )
    return Claim(authorization, text, timestamp_ms)


def find_key(claim: Claim, at: datetime) -> AppKey:
    """Return the live AppKey with its App. Raises ApiError 4102."""
    text = claim.authorization.app_key
    key = keys.live_key(text, at)
    if key is None:
        # Quote it only if it has the length of an AppKey: otherwise it could be the SecretKey.
        if len(text) == 16:
            raise ApiError(errors.UNKNOWN_KEY, f"AppKey {text}", f"收到的 AppKey 是 {text}")
        raise ApiError(
            errors.UNKNOWN_KEY,
            f"{len(text)} characters; an AppKey has 16",
            f"{len(text)} 个字符，AppKey 是 16 个",
        )
    return key


def check_clock(claim: Claim, at: datetime) -> None:
    """Raise ApiError 4103 if the caller's time differs from `at` by more than CLOCK_SKEW_S."""
    skew_ms = clock_difference_ms(claim, at)
    if abs(skew_ms) <= settings.CLOCK_SKEW_S * 1000:
        return
    digits = len(claim.timestamp_text)
    if digits != 13:
        units = {10: (" (seconds)", "：这是秒"), 16: (" (microseconds)", "：这是微秒")}
        unit, unit_zh = units.get(digits, ("", ""))
        raise ApiError(
            errors.BAD_DATE,
            f"X-CTYUN-DT has {digits} digits{unit}; a time in milliseconds has 13",
            f"X-CTYUN-DT 有 {digits} 位，毫秒是 13 位{unit_zh}",
        )
    raise ApiError(
        errors.BAD_DATE,
        f"X-CTYUN-DT is {skew_ms / 1000:+.1f} s from the server's clock; "
        f"at most {settings.CLOCK_SKEW_S} s are allowed",
        f"X-CTYUN-DT 与服务器时钟相差 {skew_ms / 1000:+.1f} 秒，允许 {settings.CLOCK_SKEW_S} 秒",
    )


def clock_difference_ms(claim: Claim, at: datetime) -> int:
    """Return the caller's time minus `at`, in milliseconds."""
    return claim.timestamp_ms - int(at.timestamp() * 1000)


def verify(
    claim: Claim, key: AppKey, *, method: str, target: str, body_sha1: str, body_size: int, at: datetime
) -> None:
    """Verify the signature over the raw bytes. Raises ApiError 4104, with the request as received."""
    path, query = signing.split_target(target)
    to_sign = signing.canonical(method, path, query, claim.timestamp_text, body_sha1)
    secret, given = keys.secret_of(key), claim.authorization.signature
    if not signing.matches(secret, to_sign, given):
        raise ApiError(
            errors.BAD_SIGNATURE,
            *signing.likely_mistake(
                key.key, secret, given, method, path, query, claim.timestamp_text, body_sha1
            ),
            signed={
                "method": method,
                "path": path,
                "query": query,
                "x_ctyun_dt": claim.timestamp_text,
                "body_sha1": body_sha1,
                "body_bytes": body_size,
                "clock_difference_ms": clock_difference_ms(claim, at),
            },
        )


# --- addresses -------------------------------------------------------------------


def target_as_received(environ: Mapping[str, Any]) -> str:
    """Return the request target byte for byte: gunicorn's RAW_URI, or rebuilt from the WSGI variables."""
    raw = environ.get("RAW_URI")
    if raw is not None:
        return str(raw)
    path = str(environ.get("SCRIPT_NAME", "")) + str(environ.get("PATH_INFO", ""))
    query = environ.get("QUERY_STRING", "")
    return signing.quote_path(path) + (f"?{query}" if query else "")


def check_address(allowed: list[str], address: str | None) -> None:
    """Raise ApiError 4106 if the App has an allow-list and the caller's address is not on it."""
    if not allowed:
        return
    found = client_address.parse(address or "")
    if found is None or not client_address.is_in(found, allowed):
        raise ApiError(
            errors.ADDRESS,
            f"called from {address or 'an unknown address'}",
            f"来源地址是 {address or '未知地址'}",
        )
