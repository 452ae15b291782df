"""`facecloud doctor`: check the connection, the clock, the signature and the remaining quota.

It is free of charge: the calls have an empty `data`, which the service rejects with 4001 after it has checked
the signature.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from facecloud_client.client import FaceClient, read_reply
from facecloud_client.config import Config
from facecloud_client.errors import ApiError, AuthenticationError, TransportError
from facecloud_client.gallery import JsonBody
from facecloud_client.i18n import say
from facecloud_client.request.body import Body
from facecloud_client.request.retry import RETRIED_STATUSES, retry_after_s, seconds_ahead

APIS = ("face_detect", "face_analyse", "face_compare", "face_search")
NO_IMAGE = 4001
NO_API = 4020  # the face gallery may be switched off
CLOCK_LIMIT_S = 300.0  # the service's default
CLOCK_WARNING_S = 30.0


@dataclass(frozen=True)
class Check:
    """One line of the report. With a `remedy` although it is `ok`, it is a note and not a failure."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def examine(client: FaceClient, found: Config, now: datetime | None = None) -> Iterator[Check]:
    """Yield the checks in order, up to the first failure that makes further checks pointless."""
    yield _keys(found)
    try:
        health = client.get("/healthz")
    except httpx.TransportError as error:
        yield Check(
            say("连接", "connection"),
            False,
            f"{found.url}: {error}",
            say(
                "检查 FACECLOUD_URL、网络与服务是否已启动",
                "check FACECLOUD_URL, the network, and that the service is running",
            ),
        )
        return
    yield Check(say("连接", "connection"), True, f"{found.url} → HTTP {health.status_code}")
    yield from _clock(health, now or datetime.now(UTC))
    quotas: list[Check] = []
    for number, api in enumerate(APIS):
        body = JsonBody({"data": [], "options": {"groups": ["-"]}}) if api == "face_search" else Body([])
        try:
            reply = client.post(f"/api/v1/{api}.json", body, {})
        except httpx.TransportError as error:
            yield Check(api, False, str(error), say("稍后重试", "try again later"))
            return
        if number == 0:
            signature = _signature(reply, body.sha1_hex)
            yield signature
            if not signature.ok:
                return
        quotas.append(_quota(api, reply))
        yield quotas[-1]
    if all(quota.ok and quota.remedy for quota in quotas):
        yield Check(
            say("余量", "quota"),
            False,
            say("没有可用的 API", "no API can be used"),
            say("在控制台为该应用订购", "order an API for this App in the console"),
        )


def _keys(found: Config) -> Check:
    """Check the format of the keys: 16 and 32 hex digits. The report shows only their lengths."""
    name = say("密钥", "keys")
    where = ", ".join(sorted(set(found.origin.values())))
    if _is_hex(found.app_key, 16) and _is_hex(found.secret, 32):
        return Check(
            name, True, say(f"AppKey {found.app_key}，来自 {where}", f"AppKey {found.app_key}, from {where}")
        )
    return Check(
        name,
        False,
        say(
            f"AppKey {len(found.app_key)} 个字符，SecretKey {len(found.secret)} 个字符",
            f"AppKey has {len(found.app_key)} characters, SecretKey {len(found.secret)}",
        ),
        say(
            "应为 16 位与 32 位十六进制数，请在控制台重新复制",
            "they should be 16 and 32 hex digits; copy them from the console again",
        ),
    )


def _is_hex(text: str, length: int) -> bool:
    return len(text) == length and set(text) <= set("0123456789abcdef")


def _clock(reply: httpx.Response, now: datetime) -> Iterator[Check]:
    """Compare this machine's clock with the Date header, which has a resolution of one second."""
    ahead_s = seconds_ahead(reply.headers.get("Date"), now)
    if ahead_s is None:
        return
    yield Check(
        say("时钟", "clock"),
        abs(ahead_s) < CLOCK_LIMIT_S,
        say(f"与服务器相差 {ahead_s:+.0f} 秒", f"{ahead_s:+.0f} s from the service's clock"),
        ""
        if abs(ahead_s) < CLOCK_WARNING_S
        else say(
            f"请校准本机时钟（NTP）；相差超过 {CLOCK_LIMIT_S:.0f} 秒的请求会被拒绝",
            f"synchronise this machine's clock (NTP): the limit is {CLOCK_LIMIT_S:.0f} s",
        ),
    )


def _signature(reply: httpx.Response, body_sha1: str) -> Check:
    name = say("签名", "signature")
    try:
        read_reply(reply, 0, _asked_s(reply))
    except AuthenticationError as error:
        return Check(name, False, error.headline, _signature_remedy(error, reply.request, body_sha1))
    except ApiError as error:
        if error.code != NO_IMAGE:
            return Check(say("服务", "service"), False, error.headline, _advice(error))
    except TransportError as error:
        return Check(name, False, str(error), say("检查 FACECLOUD_URL", "check FACECLOUD_URL"))
    return Check(name, True, say("服务器接受了签名", "accepted by the service"))


def _asked_s(reply: httpx.Response) -> float | None:
    return retry_after_s(reply.headers.get("Retry-After"), datetime.now(UTC))


def _advice(error: ApiError) -> str:
    """Return what the service says about an error, without its headline."""
    return str(error).removeprefix(error.headline).strip().replace("\n", "; ")


def _signature_remedy(error: ApiError, request: httpx.Request, body_sha1: str) -> str:
    """Describe how the request changed between signing and arrival, else return the service's advice.

    The keys are to blame only if all of the signed parts arrived as sent.
    """
    saw = error.details.get("signed")
    if not isinstance(saw, dict):
        return _advice(error)
    path, _, query = request.url.raw_path.decode("ascii").partition("?")
    here = {
        "method": request.method,
        "path": path,
        "query": query,
        "x_ctyun_dt": request.headers["X-CTYUN-DT"],
        "body_sha1": body_sha1,
    }
    changed = [
        say(
            f"{part}：本机签的是 {value!r}，服务器收到 {saw[part]!r}",
            f"{part}: signed {value!r}, received {saw[part]!r}",
        )
        for part, value in here.items()
        if part in saw and saw[part] != value
    ]
    if changed:
        proxy = say("中间的代理改写了请求", "a proxy rewrote the request")
        return f"{proxy}: " + "; ".join(changed)
    if error.detail:
        return error.detail
    return say(
        "请求原样到达，签名仍不符：SecretKey 与 AppKey 不是一对，请在控制台重新复制",
        "the request arrived as signed, so SecretKey and AppKey do not belong together; copy both again",
    )


def _quota(api: str, reply: httpx.Response) -> Check:
    """Return the remaining units; none left is a note, because an App need not have ordered every API."""
    name = say(f"余量 {api}", f"quota {api}")
    try:
        read_reply(reply, 0, _asked_s(reply))
    except ApiError as error:
        if error.code == NO_API:
            return Check(name, True, error.headline, _advice(error))
        if error.http_status in RETRIED_STATUSES:
            return Check(name, False, error.headline, _advice(error))
    except TransportError as error:
        return Check(name, False, str(error), say("稍后重试", "try again later"))
    remaining = reply.headers.get("X-Quota-Remaining")
    if remaining is None:
        return Check(name, False, say("服务器没有给出余量", "the service did not report it"), "")
    left = say(f"剩余 {remaining}", f"{remaining} left")
    if remaining == "0":
        return Check(
            name,
            True,
            left,
            say("需要时在控制台为该应用订购", "order it for this App in the console if needed"),
        )
    return Check(name, True, left)
