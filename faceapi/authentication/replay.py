"""The replay guard: each signature is accepted once, even if Valkey has lost the record of those seen.

Each signature seen is a key in Valkey, which expires once its timestamp is no longer valid. Another key, the
mark, holds the time since which the record is complete; a restart or FLUSHALL deletes it with the signatures.
Then a new mark is set, and signatures with an older timestamp are refused with 5003, because they may have
been seen before the loss. A caller that signs its request again is served.
"""

import contextlib
import math
from datetime import timedelta

import redis
from django.conf import settings
from django.db import DatabaseError, connections

from common import valkey as shared
from common.postgresql.clock import now
from faceapi import errors
from faceapi.authentication.caller import Claim
from faceapi.errors import ApiError
from faceapi.models import Call

MARK = "faceapi:seen-since"
WINDOW_MARGIN_S = 10  # for the time between the check of the clock and that of the signature
# After a loss, timestamps are accepted only from this much later on, because callers' clocks may be fast.
AHEAD_S = 2.0
_LOST, _SEEN, _NEW = "lost", "seen", "new"

# KEYS: the signature, the mark. ARGV: the request's timestamp (ms), how long to remember the signature (s).
_SEE = """
local since_ms = redis.call('GET', KEYS[2])
if not since_ms then return {'lost', 0} end
if tonumber(ARGV[1]) < tonumber(since_ms) then
    local now = redis.call('TIME')
    return {'old', since_ms - now[1] * 1000}
end
if redis.call('SET', KEYS[1], '', 'NX', 'EX', ARGV[2]) then return {'new', 0} end
return {'seen', 0}
"""


def prepare() -> None:
    """Set the mark before the first request of a web process, so that no call is refused at first."""
    with contextlib.suppress(redis.RedisError, DatabaseError):  # otherwise the first request sets it
        begin(shared.client())
    connections.close_all()


def begin(valkey: redis.Redis) -> None:
    """Set the mark, if there is none."""
    if valkey.exists(MARK):
        return
    since_s = 0.0
    window = timedelta(seconds=2 * settings.CLOCK_SKEW_S + WINDOW_MARGIN_S)
    newest = Call.objects.order_by("-pk").values_list("at", flat=True).first()
    if newest is not None and newest > now() - window:  # otherwise all earlier signatures have expired
        since_s = shared.now_s(valkey) + AHEAD_S
    valkey.set(MARK, math.ceil(since_s * 1000), nx=True)


def refuse(valkey: redis.Redis, claim: Claim, *, body_s: float) -> None:
    """Refuse a signature that may have been used before, otherwise record it.

    Call this only after `verify`, so that nobody else can use up a caller's signature.

    `body_s` is the longest time that a replay may take to send the same body; the signature is remembered for
    that much longer than its timestamp is valid. Raises ApiError REPLAY if it was seen before, and OVERLOADED
    if the record of that time was lost.
    """
    name = f"faceapi:seen:{claim.authorization.app_key}:{claim.authorization.signature.lower()}"
    window_s = math.ceil(2 * settings.CLOCK_SKEW_S + body_s + WINDOW_MARGIN_S)
    for _attempt in range(2):
        found, wait_ms = valkey.eval(_SEE, 2, name, MARK, claim.timestamp_ms, window_s)
        if found != _LOST.encode():
            break
        begin(valkey)
    if found == _NEW.encode():
        return
    if found == _SEEN.encode():
        raise ApiError(errors.REPLAY)
    raise ApiError(
        errors.OVERLOADED,
        "the record of used signatures was lost; sign the request again with a new X-CTYUN-DT",
        retry_after_s=max(1, math.ceil(int(wait_ms) / 1000) + 1),
    )
