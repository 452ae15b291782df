"""Which addresses a picture may be fetched from, and the look-up of a host's addresses.

Only public addresses are allowed, and none of our own: neither those of this machine's interfaces nor those
that the site's own names stand for (behind NAT they are on no interface). URL_ALLOWED_NETWORKS lists
exceptions.
"""

import contextlib
import ipaddress
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from urllib.parse import urlsplit

from django.conf import settings

from faceapi import errors
from faceapi.errors import ApiError

# How long the resolver of the C library waits for each name server; read when a thread first uses it.
os.environ.setdefault("RES_OPTIONS", "timeout:2 attempts:2")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_METADATA = (ipaddress.IPv4Address("168.63.129.16"),)  # a public address that is internal in one cloud
OWN_NAMES_KEPT_S = 60.0  # how long the addresses of the site's own names are believed


def is_allowed(address: Address, extra: tuple[Network, ...] = ()) -> bool:
    """Whether to connect there: a public unicast address; an IPv4 inside an IPv6 is judged as itself."""
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
    """Whether the address is one of this machine's interfaces: a connection from here would look local.

    A datagram socket that is connected to an own address has that address itself. Nothing is sent.
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


@lru_cache(maxsize=2)
def _addresses_of_own_names(_minute: int) -> frozenset[Address]:
    """Return the addresses of the site's own names, looked up at most once a minute.

    The names are the operator's, so RES_OPTIONS bounds the look-up, not the caller's deadline. A name that
    doesn't resolve has no address to protect.
    """
    found: set[Address] = set()
    for name in own_names():
        with contextlib.suppress(OSError, UnicodeError):
            infos = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
            found |= {ipaddress.ip_address(str(info[4][0])) for info in infos}
    return frozenset(found)


def resolve(host: str, port: int, deadline: float) -> list[tuple[str, int]]:
    """Return the addresses to connect to. Raises ApiError 4004 if none or one is forbidden; 4005."""
    looked_up = _resolver().submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        found = looked_up.result(timeout=max(0.0, deadline - time.monotonic()))
    except TimeoutError:  # before OSError, of which it is a kind
        looked_up.cancel()
        raise late() from None
    except (OSError, UnicodeError):
        raise ApiError(errors.URL_UNREACHABLE, "the host name does not resolve") from None
    extra = _networks(tuple(settings.URL_ALLOWED_NETWORKS))
    own_names = _addresses_of_own_names(int(time.monotonic() / OWN_NAMES_KEPT_S))
    addresses = [str(info[4][0]) for info in found]
    for text in addresses:
        address = ipaddress.ip_address(text)
        is_ours = is_our_own(address) or address in own_names
        if not is_allowed(address, extra) or (is_ours and not _is_in(address, extra)):
            raise ApiError(errors.URL_UNREACHABLE, "the host resolves to an address that is not public")
    return [(address, port) for address in dict.fromkeys(addresses)]


@lru_cache(maxsize=1)
def _resolver() -> ThreadPoolExecutor:
    """Threads that wait for the resolver of the system, which knows no deadline (RES_OPTIONS bounds it)."""
    return ThreadPoolExecutor(settings.URL_FETCHERS, thread_name_prefix="resolve")


def late(index: int | None = None) -> ApiError:
    return ApiError(errors.URL_TIMEOUT, "not delivered within the time limit", index=index)
