"""Valkey's clock, the reference for all times in Valkey, and the offset of this host's clock from it.

Hosts with different clocks must agree on which workers are alive, so heartbeats are never compared with a
host's own clock. The offsets are reported for the live page, /metrics and an alert:

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
OFF_BY_S = 2.0  # operators are alerted from this offset on

_offset_s = 0.0
_reported_at = -REPORT_EVERY_S


def now_s(client: redis.Redis) -> float:
    """Return Valkey's time (Unix seconds), and report this host's offset every REPORT_EVERY_S."""
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
    """Return Valkey's time as estimated from this host's clock and the last measured offset."""
    return time.time() - _offset_s


def offsets(client: redis.Redis) -> dict[str, float]:
    """Return for each host its clock minus Valkey's, in seconds, if reported within REPORT_KEPT_S."""
    now, found = valkey.now_s(client), {}
    reports: Any = client.hgetall(KEY)
    for host, report in reports.items():
        at, offset = map(float, report.split())
        if now - at <= REPORT_KEPT_S:
            found[host.decode()] = offset
        else:  # a container's host name is not reused, so its report would never be replaced
            client.hdel(KEY, host)
    return found
