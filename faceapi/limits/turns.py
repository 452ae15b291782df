"""Whose chunks are under way: the workers' slots, shared among customers.

The Celery queue is first in, first out, so a customer who fills it delays everybody. Here a call takes a turn
for each chunk before it is sent, and the queue holds hardly more than what the workers work on. Turns are
counted in Valkey, over all web processes, in two lanes:

- bulk (calls of many pictures): one turn fewer than there are slots, so that one is always free for others;
- single (all other calls): one turn more than there are slots, so that none is idle between two calls.

Each inference queue has two lanes of its own: its workers are not those of another region.

Customers who want a turn in a lane share it evenly; if there are fewer turns than customers, the one who has
waited longest is next. A customer alone has the whole lane. A call without a turn waits on a list of its
customer and lane, on which each turn that ends leaves a token; it also tries again each second.

A worker completes each chunk that it has begun, also when the call has ended before: at its deadline, with a
failure, or because the client hung up. Such a chunk keeps its turn until the worker is done with it, or a new
call of the same customer would fill the slots that are to stay free.

    inference:turns:<lane>             zset "<customer> <chunk>" by the end of the lease
    inference:wanted:<lane>            zset of customers who want a turn, by when that is forgotten
    inference:served:<lane>            zset of customers by their last turn
    inference:turn:<lane>:<customer>   list of tokens: a turn may be free
"""

from collections.abc import Sequence
from dataclasses import dataclass

import redis

from common import queues

LEASE_S = 6  # the turns of a web process that died are free after this
RENEW_EVERY_S = 1.0

_TAKE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local customer, chunk, turns = ARGV[1], ARGV[2], tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('ZADD', KEYS[2], now + 1.5, customer)
local running, busy, total = {}, {}, 0
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    local owner = string.match(member, '^%S+')
    running[owner] = (running[owner] or 0) + 1
    busy[owner] = true
    total = total + 1
end
local wanted = redis.call('ZRANGE', KEYS[2], 0, -1)
for _, other in ipairs(wanted) do busy[other] = true end
local customers = 0
for _ in pairs(busy) do customers = customers + 1 end
local share = math.max(1, math.ceil(turns / customers))
if (running[customer] or 0) >= share or total >= turns then return 0 end
local served = tonumber(redis.call('ZSCORE', KEYS[3], customer) or 0)
local before = 0
for _, other in ipairs(wanted) do
    if other ~= customer and (running[other] or 0) < (running[customer] or 0) then before = before + 1
    elseif other ~= customer and (running[other] or 0) == (running[customer] or 0)
        and tonumber(redis.call('ZSCORE', KEYS[3], other) or 0) < served then before = before + 1 end
end
if before >= turns - total then return 0 end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[4]), customer .. ' ' .. chunk)
redis.call('ZADD', KEYS[3], now, customer)
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - 60)
return 1
"""
_GIVE_BACK = """
local given = redis.call('ZREM', KEYS[1], unpack(ARGV, 3))
if ARGV[2] == '0' then redis.call('ZREM', KEYS[2], ARGV[1]) end
for _, customer in ipairs(redis.call('ZRANGE', KEYS[2], 0, 31)) do
    local tokens = KEYS[3] .. customer
    redis.call('RPUSH', tokens, '1')
    redis.call('LTRIM', tokens, -4, -1)
    redis.call('EXPIRE', tokens, 5)
end
return given
"""
_RENEW = """
local lease = redis.call('TIME')[1] + tonumber(ARGV[1])
for position = 2, #ARGV do redis.call('ZADD', KEYS[1], 'XX', lease, ARGV[position]) end
"""


@dataclass(frozen=True, slots=True)
class Lane:
    """The turns of one customer in one lane of an inference queue."""

    customer: int
    is_bulk: bool
    queue: str = queues.INFERENCE

    @property
    def name(self) -> str:
        name = "bulk" if self.is_bulk else "single"
        return name if self.queue == queues.INFERENCE else f"{name}:{self.queue}"

    @property
    def tokens(self) -> str:
        """The list on which a token says that a turn may be free."""
        return f"inference:turn:{self.name}:{self.customer}"

    def turn(self, chunk_id: str) -> str:
        """Return "<key> <member>" of the chunk's turn."""
        return f"inference:turns:{self.name} {self.customer} {chunk_id}"

    def turns(self, slots: int) -> int:
        """How many chunks of all customers may be under way in this lane."""
        return max(1, slots - 1) if self.is_bulk else slots + 1

    def take(self, valkey: redis.Redis, chunk_id: str, slots: int) -> bool:
        """Take a turn for the chunk, if the customer may have one now."""
        keys = [f"inference:{kind}:{self.name}" for kind in ("turns", "wanted", "served")]
        return bool(valkey.eval(_TAKE, 3, *keys, self.customer, chunk_id, self.turns(slots), LEASE_S))

    def give_back(self, valkey: redis.Redis, chunk_ids: Sequence[str], *, wants_more: bool) -> None:
        """End turns, and wake calls that wait for one. `wants_more`: whether this call waits itself."""
        keys = [f"inference:{kind}:{self.name}" for kind in ("turns", "wanted")]
        members = [f"{self.customer} {chunk_id}" for chunk_id in chunk_ids] or [""]
        valkey.eval(
            _GIVE_BACK,
            3,
            *keys,
            f"inference:turn:{self.name}:",
            self.customer,
            int(wants_more),
            *members,
        )

    def renew(self, valkey: redis.Redis, chunk_ids: Sequence[str], lease_s: float = LEASE_S) -> None:
        """Extend the leases of turns that are still used."""
        members = [f"{self.customer} {chunk_id}" for chunk_id in chunk_ids]
        if members:
            valkey.eval(_RENEW, 1, f"inference:turns:{self.name}", lease_s, *members)
