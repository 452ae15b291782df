"""Whose wrong passwords count together (settings.AXES_CLIENT_IP_CALLABLE); how many mails one may ask for."""

from ipaddress import ip_address, ip_network

from django.http import HttpRequest

from faceapi.authentication import client_address
from facecloud import valkey

MAILS_TO_ONE_ADDRESS, MAILS_BY_ONE_CALLER, MAILS_WITHIN_S = 5, 10, 3600
IPV6_HOME = 64  # bits: whoever has one IPv6 address has all that begin like it


def caller(request: HttpRequest) -> str | None:
    """The caller's address, behind our proxies too; of IPv6 the network, or its owner could try for ever."""
    address = client_address(request.META)
    if address is None or ip_address(address).version == 4:
        return address
    return str(ip_network((address, IPV6_HOME), strict=False).network_address)


def may_mail(request: HttpRequest, address: str) -> bool:
    """Whether one more mail may go to that address, asked for by that caller; it is counted."""
    limits = {
        f"mail-to:{address.casefold()}": MAILS_TO_ONE_ADDRESS,
        f"mail-by:{caller(request)}": MAILS_BY_ONE_CALLER,
    }
    counting = valkey.client().pipeline()
    for key in limits:
        counting.set(key, 0, ex=MAILS_WITHIN_S, nx=True)
        counting.incr(key)
    counts = counting.execute()[1::2]
    return all(count <= limit for count, limit in zip(counts, limits.values(), strict=True))
