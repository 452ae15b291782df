"""The address of a client, also behind the operator's own proxies."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from django.conf import settings

MAX_HOPS = 32  # of X-Forwarded-For, from the nearest

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def client_address(meta: Mapping[str, Any]) -> str | None:
    """Return the address of the client: the peer's, or what the trusted proxies say of it.

    That is the last address of X-Forwarded-For that is not one of TRUSTED_PROXIES; None if it is unknown.
    """
    peer = meta.get("REMOTE_ADDR", "")
    hops = [
        peer,
        *reversed(
            [hop.strip() for hop in meta.get("HTTP_X_FORWARDED_FOR", "").rsplit(",", MAX_HOPS)[-MAX_HOPS:]]
        ),
    ]
    trusted = _networks(tuple(settings.TRUSTED_PROXIES))
    last = None
    for hop in hops:
        address = parse(hop)
        if address is None:
            # A proxy on a unix socket has no address; it is ours if any proxy is.
            if hop is peer and not peer and trusted:
                continue
            break
        last = address
        if not _is_in(address, trusted):
            break
    return str(last) if last is not None else None


def is_in(address: Address, networks: Iterable[str]) -> bool:
    """Return whether the address is in one of the networks, each an address or in CIDR notation."""
    return _is_in(address, _networks(tuple(networks)))


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)


_WITH_PORT = re.compile(r"\[(.+)\](?::\d+)?|([^:]+):\d+")  # as some proxies write a hop


def parse(text: str) -> Address | None:
    """Return the address in `text`, without a port or an interface; None if there is none."""
    if found := _WITH_PORT.fullmatch(text):
        text = found[1] or found[2]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])  # a neighbour's comes with its interface
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


@lru_cache(maxsize=256)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)
