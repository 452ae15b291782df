"""Whose wrong passwords are counted together (settings.AXES_CLIENT_IP_CALLABLE)."""

from ipaddress import ip_address, ip_network

from django.http import HttpRequest

from faceapi.authentication import client_address

IPV6_HOME = 64  # bits: whoever has one IPv6 address has all that begin like it


def caller(request: HttpRequest) -> str | None:
    """The caller's address, behind our proxies too; of IPv6 the network, or its owner could try for ever."""
    address = client_address(request.META)
    if address is None or ip_address(address).version == 4:
        return address
    return str(ip_network((address, IPV6_HOME), strict=False).network_address)
