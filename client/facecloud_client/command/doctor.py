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
from facecloud_client.errors import ApiError, TransportError
from facecloud_client.i18n import say
from facecloud_client.request.body import Body
from facecloud_client.request.retry import seconds_ahead

APIS = ("face_detect", "face_analyse", "face_compare")
NO_IMAGE = 4001
CLOCK_LIMIT_S = 300.0  # the service's default
CLOCK_WARNING_S = 30.0


@dataclass(frozen=True)
class Check:
    """One line of the report; `remedy` is set if `ok` is False."""

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
    for number, api in enumerate(APIS):
        try:
            reply = client.post(f"/api/v1/{api}.json", Body([]), {})
        except httpx.TransportError as error:
            yield Check(api, False, str(error), say("稍后重试", "try again later"))
            return
        if number == 0:
            signature = _signature(reply)
            yield signature
            if not signature.ok:
                return
        yield _quota(api, reply)


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


def _signature(reply: httpx.Response) -> Check:
    name = say("签名", "signature")
    try:
        read_reply(reply, 0)
    except ApiError as error:
        if error.code == NO_IMAGE:
            return Check(name, True, say("服务器接受了签名", "accepted by the service"))
        return Check(name, False, error.headline, _signature_remedy(error, reply.request))
    except TransportError as error:
        return Check(name, False, str(error), say("检查 FACECLOUD_URL", "check FACECLOUD_URL"))
    return Check(name, True, say("服务器接受了签名", "accepted by the service"))


def _signature_remedy(error: ApiError, request: httpx.Request) -> str:
    """Describe how the request changed between signing and arrival, else return the service's advice."""
    saw = error.details.get("signed")
    if not isinstance(saw, dict):
        return error.remedy or str(error)
    path, _, query = request.url.raw_path.decode("ascii").partition("?")
    here = {"method": request.method, "path": path, "query": query}
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
    return say(
        "请求原样到达，签名仍不符：SecretKey 与 AppKey 不是一对，请在控制台重新复制",
        "the request arrived as signed, so SecretKey and AppKey do not belong together; copy both again",
    )


def _quota(api: str, reply: httpx.Response) -> Check:
    remaining = reply.headers.get("X-Quota-Remaining")
    name = say(f"余量 {api}", f"quota {api}")
    if remaining is None:
        return Check(name, False, say("服务器没有给出余量", "the service did not report it"), "")
    left = say(f"剩余 {remaining}", f"{remaining} left")
    if remaining == "0":
        return Check(name, False, left, say("在控制台为该应用订购", "order it for this App in the console"))
    return Check(name, True, left)
