"""Validate the addresses that a picture may be fetched from, and look up a host's addresses.

Only public addresses are allowed, except our own: those of this machine's interfaces, and those that the
site's own names resolve to (behind NAT these are on no interface). URL_ALLOWED_NETWORKS lists networks that
are allowed in any case.
"""

import contextlib
import ipaddress
import socket
import threading
import time
from functools import lru_cache
from urllib.parse import urlsplit

from django.conf import settings

from faceapi import errors
from faceapi.errors import ApiError
from faceapi.request import name_lookup

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_METADATA = (ipaddress.IPv4Address("168.63.129.16"),)  # a public address that is internal in one cloud
OWN_NAMES_KEPT_S = 60.0  # how long the addresses of the site's own names are cached
OWN_NAMES_S = 2.0  # time limit of one look-up of them


def is_allowed(address: Address, extra: tuple[Network, ...] = ()) -> bool:
    """Return whether this is a public unicast address; an IPv4 address embedded in IPv6 is judged as IPv4."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_allowed(inner, extra)
        if address.teredo is not None or address.scope_id is not None or address.is_site_local:
            return False
    if _is_in(address, extra):
        return True
    special = address.is_multicast or address.is_reserved or address in _METADATA
    return address.is_global and not special


def _is_in(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks if network.version == address.version)


def is_our_own(address: Address) -> bool:
    """Return whether the address is on one of this machine's interfaces: connections to it would look local.

    A datagram socket connected to an own address gets that address as its source. Nothing is sent.
    """
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with contextlib.closing(socket.socket(family, socket.SOCK_DGRAM)) as probe:
            probe.connect((str(address), 9))
            return ipaddress.ip_address(probe.getsockname()[0]) == address
    except OSError:  # no route there
        return False


@lru_cache(maxsize=8)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


def own_names() -> set[str]:
    """Return the host names of the site itself: those of SITE_URL and ALLOWED_HOSTS."""
    names = {name.strip("[]") for name in settings.ALLOWED_HOSTS if not name.startswith(".")}
    return {name for name in {*names, urlsplit(settings.SITE_URL).hostname or ""} if name}


class OwnNames:
    """The addresses of the site's own names, looked up at most once in OWN_NAMES_KEPT_S. Thread-safe.

    If a name cannot be looked up, its last known addresses stay in use. A name that never resolved has no
    address to protect.
    """

    def __init__(self) -> None:
        self._of: dict[str, frozenset[Address]] = {}
        self._good_until = -float("inf")
        self._lock = threading.Lock()

    def addresses(self) -> frozenset[Address]:
        """Return all addresses; one thread looks the names up while others use what is known."""
        names = own_names()
        is_first = not self._of.keys() >= names
        if (is_first or time.monotonic() >= self._good_until) and self._lock.acquire(blocking=is_first):
            try:
                if not self._of.keys() >= names or time.monotonic() >= self._good_until:
                    self._look_up(names)
            finally:
                self._lock.release()
        return frozenset().union(*(self._of.get(name, frozenset()) for name in names))

    def _look_up(self, names: set[str]) -> None:
        deadline = time.monotonic() + OWN_NAMES_S
        found = dict.fromkeys(names, frozenset[Address]()) | self._of
        for name in names:
            try:
                found[name] = frozenset(name_lookup.addresses_of(name, deadline))
            except (name_lookup.NotFoundError, name_lookup.TooLateError, name_lookup.UnavailableError):
                continue  # the addresses found before stay in use
        self._of = found
        self._good_until = time.monotonic() + OWN_NAMES_KEPT_S


_own = OwnNames()


def resolve(host: str, port: int, deadline: float) -> list[tuple[str, int]]:
    """Return the addresses of `host` to connect to, each with `port`.

    Raises ApiError 4004 if there is none or any is not allowed, 4005 if the look-up takes too long, and 5003
    if this installation cannot look up names.
    """
    try:
        found = name_lookup.addresses_of(host, deadline)
    except name_lookup.TooLateError:
        raise late() from None
    except name_lookup.UnavailableError:
        raise ApiError(errors.OVERLOADED, "host names cannot be looked up now", retry_after_s=5) from None
    except name_lookup.NotFoundError:
        raise ApiError(errors.URL_UNREACHABLE, "the host name does not resolve") from None
    extra = _networks(tuple(settings.URL_ALLOWED_NETWORKS))
    own_addresses = _own.addresses()
    for address in found:
        is_ours = is_our_own(address) or address in own_addresses
        if not is_allowed(address, extra) or (is_ours and not _is_in(address, extra)):
            raise ApiError(errors.URL_UNREACHABLE, "the host resolves to an address that is not public")
    return [(str(address), port) for address in dict.fromkeys(found)]


def late(index: int | None = None) -> ApiError:
    """Return the ApiError 4005 for a picture that was not delivered in time."""
    return ApiError(errors.URL_TIMEOUT, "not delivered within the time limit", index=index)
