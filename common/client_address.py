"""The IP address of a client, which may be behind trusted proxies."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from django.conf import settings

MAX_HOPS = 32  # of X-Forwarded-For, starting from the right

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def client_address(meta: Mapping[str, Any]) -> str | None:
    """Return the client's IP address, or None if it is unknown.

    It is the right-most address of X-Forwarded-For that is not one of TRUSTED_PROXIES, or the peer's own if
    that is not a trusted proxy.
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
            # A peer on a unix socket has no address; it is trusted if any proxy is.
            if hop is peer and not peer and trusted:
                continue
            break
        last = address
        if not _is_in(address, trusted):
            break
    return str(last) if last is not None else None


def is_in(address: Address, networks: Iterable[str]) -> bool:
    """Return whether the address is in one of the networks (single addresses or CIDR notation)."""
    return _is_in(address, _networks(tuple(networks)))


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)


_WITH_PORT = re.compile(r"\[(.+)\](?::\d+)?|([^:]+):\d+")  # the form in which some proxies write a hop


def parse(text: str) -> Address | None:
    """Return the address in `text` without port and zone; None if it is invalid."""
    if found := _WITH_PORT.fullmatch(text):
        text = found[1] or found[2]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])  # link-local addresses carry a zone
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


@lru_cache(maxsize=256)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)
