"""Bytes of bodies without a valid signature: an allowance for each client address.

An AppKey is visible in every request, so anyone who has seen one can send bodies that are read and hashed
before the signature is verified. The bytes read of such a body count against the sender's address (for IPv6,
the /64 network). Above settings.UNVERIFIED_BYTES_PER_MINUTE, further bodies from there are refused unread,
with 4291, until the sum has decreased enough. Verified bodies do not count.

The sums are in Valkey, for all web processes. They are looked up only before a large body; before a small
one, a process uses its own record.
"""

import threading
import time
from collections import OrderedDict
from ipaddress import IPv4Address, ip_address, ip_network

import redis
from django.conf import settings

from common import client_address
from faceapi import errors
from faceapi.errors import ApiError
from faceapi.limits import debt

WINDOW_MS = 60_000
MAX_MS = 2 * WINDOW_MS  # so no address is refused for longer than a window
MAX_REMEMBERED = 10_000

_lock = threading.Lock()
_refused_until: OrderedDict[str, float] = OrderedDict()  # by key, least recently refused first


def add(valkey: redis.Redis, address: str | None, read_bytes: int) -> None:
    """Count the bytes read of a body that was not verified."""
    if address is None or _is_shared(address):
        return
    key = _key(address)
    amount_ms = read_bytes * WINDOW_MS / settings.UNVERIFIED_BYTES_PER_MINUTE
    debt.add(valkey, key, amount_ms, max_ms=MAX_MS)
    if over_s := debt.over_s(valkey, key, free_ms=WINDOW_MS):
        _remember(key, time.monotonic() + over_s)


def check(valkey: redis.Redis, address: str | None, *, is_large: bool) -> None:
    """Raise ApiError 4291 if the address is over its allowance."""
    if address is None or _is_shared(address):
        return
    key = _key(address)
    if not is_large and not _is_refused(key, time.monotonic()):
        return
    if over_s := debt.over_s(valkey, key, free_ms=WINDOW_MS):
        limit = settings.UNVERIFIED_BYTES_PER_MINUTE
        raise ApiError(
            errors.RATE,
            f"more than {limit} bytes per minute from this address without a verified signature",
            f"来自该地址的、签名错误或未能验签的请求体每分钟超过 {limit} 字节",
            retry_after_s=over_s,
        )


def is_refused_here(address: str | None) -> bool:
    """Return whether this process has seen that the address is over its allowance."""
    return address is not None and bool(_refused_until) and _is_refused(_key(address), time.monotonic())


def _remember(key: str, until: float) -> None:
    """Remember in this process that the address is over its allowance; drop the one refused longest ago."""
    with _lock:
        _refused_until[key] = until
        _refused_until.move_to_end(key)
        if len(_refused_until) > MAX_REMEMBERED:
            _refused_until.popitem(last=False)


def _is_refused(key: str, now: float) -> bool:
    with _lock:
        if _refused_until.get(key, now) > now:
            return True
        _refused_until.pop(key, None)
        return False


def _is_shared(address: str) -> bool:
    """Return whether this is the address of a trusted proxy, which many callers share."""
    return client_address.is_in(ip_address(address), settings.TRUSTED_PROXIES)


def _key(address: str) -> str:
    found = ip_address(address)
    if isinstance(found, IPv4Address):
        return f"faceapi:unverified:{found}"
    return f"faceapi:unverified:{ip_network((int(found), 64), strict=False)}"
