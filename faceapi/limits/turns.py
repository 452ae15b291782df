"""Fair scheduling: share the workers' slots among customers.

The Celery queue is first in, first out, so a customer who fills it delays everybody. Therefore a call takes a
turn for each chunk before it sends the chunk, and the queue holds little more than the workers can process at
once. Turns are counted in Valkey, over all web processes, in two lanes:

- bulk (calls of many pictures): one turn fewer than there are slots, so that one is always free for others;
- single (all other calls): one turn more than there are slots, so that none is idle between two calls.

Each inference queue has its own two lanes, because its workers serve no other region.

Customers who want a turn in a lane share it evenly; if there are fewer turns than customers, the one who has
waited longest is next. A customer alone may use the whole lane. Among the calls of a customer, the one that
has waited longest for its next turn goes first. A waiting call is woken when a turn may be free, and also
tries again each second.

A worker completes each chunk that it has started, even if the call has ended: at its deadline, with a
failure, or because the client hung up. Such a chunk keeps its turn until the worker has finished it.
Otherwise a new call of the same customer could fill the slots that must stay free.

    inference:turns:<lane>      zset "<customer> <chunk>", scored by the end of the lease
    inference:waiting:<lane>    zset "<customer> <call>" of waiting calls, by the start of the wait
    inference:asking:<lane>     zset of the same, by the time at which a call that stopped asking is dropped
    inference:served:<lane>     zset of customers, by the time of their last turn
    inference:turn:<call>       list: an entry wakes the call
"""

from collections.abc import Sequence
from dataclasses import dataclass

import redis

from common.celery import queues

LEASE_S = 6  # the turns of a web process that died are free again after this
RENEW_EVERY_S = 1.0
_WOKEN = "inference:turn:"

# Wakes the first waiting call of each customer.
_WAKE = """
local function wake(waiting, prefix)
    local woken, customers = {}, 0
    for _, member in ipairs(redis.call('ZRANGE', waiting, 0, -1)) do
        local customer, call = string.match(member, '^(%S+) (.*)$')
        if not woken[customer] and customers < 32 then
            woken[customer], customers = true, customers + 1
            redis.call('RPUSH', prefix .. call, '1')
            redis.call('LTRIM', prefix .. call, -1, -1)
            redis.call('EXPIRE', prefix .. call, 5)
        end
    end
end
"""
_TAKE = f"""{_WAKE}
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local customer, member, chunk, turns = ARGV[1], ARGV[1] .. ' ' .. ARGV[2], ARGV[3], tonumber(ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now)) do
    redis.call('ZREM', KEYS[2], gone)
    redis.call('ZREM', KEYS[3], gone)
end
redis.call('ZADD', KEYS[2], 'NX', now, member)
redis.call('ZADD', KEYS[3], now + 1.5, member)
redis.call('EXPIRE', KEYS[2], 60)
redis.call('EXPIRE', KEYS[3], 60)
local running, total, busy, customers = {{}}, 0, {{}}, 0
local function count(owner)
    if not busy[owner] then busy[owner], customers = true, customers + 1 end
end
for _, one in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    local owner = string.match(one, '^%S+')
    running[owner], total = (running[owner] or 0) + 1, total + 1
    count(owner)
end
local mine, wanted, ahead, is_ahead = running[customer] or 0, {{}}, 0, true
for _, one in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    local owner = string.match(one, '^%S+')
    count(owner)
    if owner ~= customer then wanted[owner] = true
    elseif one == member then is_ahead = false
    elseif is_ahead then ahead = ahead + 1 end
end
local served, before = tonumber(redis.call('ZSCORE', KEYS[4], customer) or 0), 0
for other in pairs(wanted) do
    local theirs = running[other] or 0
    if theirs < mine or theirs == mine and tonumber(redis.call('ZSCORE', KEYS[4], other) or 0) < served then
        before = before + 1
    end
end
local share = math.max(1, math.ceil(turns / customers))
if ahead >= math.min(share - mine, turns - total - before) then return 0 end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[5]), customer .. ' ' .. chunk)
redis.call('ZREM', KEYS[2], member)
redis.call('ZREM', KEYS[3], member)
redis.call('ZADD', KEYS[4], now, customer)
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now - 60)
if total + 1 < turns then wake(KEYS[2], KEYS[5]) end
return 1
"""
_GIVE_BACK = f"""{_WAKE}
redis.call('ZREM', KEYS[1], unpack(ARGV, 3))
if ARGV[2] == '0' then
    redis.call('ZREM', KEYS[2], ARGV[1])
    redis.call('ZREM', KEYS[3], ARGV[1])
    redis.call('DEL', KEYS[4] .. string.match(ARGV[1], '^%S+ (.*)$'))
else
    local time = redis.call('TIME')
    redis.call('ZADD', KEYS[2], 'NX', time[1] + time[2] / 1000000, ARGV[1])
    redis.call('ZADD', KEYS[3], time[1] + time[2] / 1000000 + 1.5, ARGV[1])
end
wake(KEYS[2], KEYS[4])
"""
_RENEW = """
local lease = redis.call('TIME')[1] + tonumber(ARGV[1])
for position = 2, #ARGV do redis.call('ZADD', KEYS[1], 'XX', lease, ARGV[position]) end
"""


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane of an inference queue, as one call of a customer uses it."""

    customer: int
    call: str
    is_bulk: bool
    queue: str = queues.INFERENCE

    @property
    def name(self) -> str:
        name = "bulk" if self.is_bulk else "single"
        return name if self.queue == queues.INFERENCE else f"{name}:{self.queue}"

    @property
    def tokens(self) -> str:
        """The key of a list; an entry in it means that a turn may be free for this call."""
        return _WOKEN + self.call

    def turn(self, chunk_id: str) -> str:
        """Return "<key> <member>" of the chunk's turn."""
        return f"inference:turns:{self.name} {self.customer} {chunk_id}"

    def turns(self, slots: int) -> int:
        """Return the maximum number of chunks of all customers in this lane."""
        return max(1, slots - 1) if self.is_bulk else slots + 1

    def take(self, valkey: redis.Redis, chunk_id: str, slots: int) -> bool:
        """Return whether the chunk got a turn; if not, record that the call waits for one."""
        turns = self.turns(slots)
        keys = [*self._keys("turns", "waiting", "asking", "served"), _WOKEN]
        return bool(valkey.eval(_TAKE, len(keys), *keys, self.customer, self.call, chunk_id, turns, LEASE_S))

    def give_back(self, valkey: redis.Redis, chunk_ids: Sequence[str], *, wants_more: bool) -> None:
        """End turns, and wake calls that wait for one. `wants_more`: this call tries again at once."""
        keys = [*self._keys("turns", "waiting", "asking"), _WOKEN]
        members = [f"{self.customer} {chunk_id}" for chunk_id in chunk_ids] or [""]
        me = f"{self.customer} {self.call}"
        valkey.eval(_GIVE_BACK, len(keys), *keys, me, int(wants_more), *members)

    def _keys(self, *kinds: str) -> list[str]:
        return [f"inference:{kind}:{self.name}" for kind in kinds]

    def renew(self, valkey: redis.Redis, chunk_ids: Sequence[str], lease_s: float = LEASE_S) -> None:
        """Extend the leases of turns that are still used."""
        members = [f"{self.customer} {chunk_id}" for chunk_id in chunk_ids]
        if members:
            valkey.eval(_RENEW, 1, f"inference:turns:{self.name}", lease_s, *members)
