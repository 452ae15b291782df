"""Valkey's clock, by which everything in Valkey lives, and how far this host's clock is from it.

Hosts whose clocks differ must still agree on who is alive: so heartbeats and their age are never compared by
a host's own clock. The difference is reported for the live page, /metrics and an alert:

    clock:offsets   hash: host → Valkey's time of the report, and the host's clock minus Valkey's
"""

import socket
import time
from typing import Any

import redis

from common import valkey

KEY = "clock:offsets"
REPORT_EVERY_S = 15.0
REPORT_KEPT_S = 120.0
OFF_BY_S = 2.0  # from which operators are told

_offset_s = 0.0
_reported_at = -REPORT_EVERY_S


def now_s(client: redis.Redis) -> float:
    """Return Valkey's time (Unix seconds), and report this host's offset now and then."""
    global _offset_s, _reported_at
    before = time.time()
    found = valkey.now_s(client)
    after = time.time()
    _offset_s = (before + after) / 2 - found
    if time.monotonic() - _reported_at >= REPORT_EVERY_S:
        _reported_at = time.monotonic()
        client.hset(KEY, socket.gethostname(), f"{found:.3f} {_offset_s:.3f}")
    return found


def estimate_s() -> float:
    """Return Valkey's time by this host's clock and the offset measured last."""
    return time.time() - _offset_s


def offsets(client: redis.Redis) -> dict[str, float]:
    """Return each host's clock minus Valkey's in seconds, as reported in the last two minutes."""
    now, found = valkey.now_s(client), {}
    reports: Any = client.hgetall(KEY)
    for host, report in reports.items():
        at, offset = map(float, report.split())
        if now - at <= REPORT_KEPT_S:
            found[host.decode()] = offset
        else:  # a container's name is not used again
            client.hdel(KEY, host)
    return found
