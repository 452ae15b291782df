"""Leases in Valkey that live as long as the process that holds them.

A lease is a key with an expiry, on Valkey's clock. One thread of the process renews all of its leases, so a
call may take as long as it needs, and a process that is killed frees its leases within `lease_s` seconds.
"""

import contextlib
import threading
import time

import redis

# Renews a lease, or recreates it if Valkey has lost it. A lease that another call holds is not changed.
_RENEW = """
local holder = redis.call('GET', KEYS[1])
if not holder or holder == ARGV[1] then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
"""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"


class Leases:
    """The leases that this process holds. Thread-safe."""

    def __init__(self, lease_s: float) -> None:
        self._lease_ms = round(lease_s * 1000)
        self._renew_every_s = lease_s / 4
        self._held: dict[str, str] = {}
        self._lock = threading.Lock()
        self._renewing: threading.Thread | None = None

    def acquire(self, valkey: redis.Redis, name: str, holder: str) -> bool:
        """Acquire the lease `name` for `holder`, unless it is held."""
        if not valkey.set(name, holder, nx=True, px=self._lease_ms):
            return False
        with self._lock:
            self._held[name] = holder
            if self._renewing is None:
                self._renewing = threading.Thread(
                    target=self._renew, args=(valkey,), name="leases", daemon=True
                )
                self._renewing.start()
        return True

    def release(self, valkey: redis.Redis, name: str, holder: str) -> None:
        """Release the lease, unless another holder has it. If Valkey is unreachable, it expires."""
        with self._lock:
            if self._held.get(name) == holder:
                del self._held[name]
        with contextlib.suppress(redis.RedisError):
            valkey.eval(_RELEASE, 1, name, holder)

    def _renew(self, valkey: redis.Redis) -> None:
        while True:
            time.sleep(self._renew_every_s)
            with self._lock:
                held = list(self._held.items())
            for name, holder in held:
                self.renew(valkey, name, holder)

    def renew(self, valkey: redis.Redis, name: str, holder: str) -> None:
        """Extend the lease, unless it was released meanwhile."""
        with contextlib.suppress(redis.RedisError):  # the lease lasts for two more attempts
            valkey.eval(_RENEW, 1, name, holder, self._lease_ms)
        with self._lock:
            is_held = self._held.get(name) == holder
        if not is_held:  # released meanwhile: the renewal may have recreated it
            self.release(valkey, name, holder)
