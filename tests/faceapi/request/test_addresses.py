"""The caller's address behind proxies, and the allowed addresses of an App."""

import pytest
from pytest_django import Settings

from common.client_address import client_address
from faceapi import errors
from faceapi.authentication import caller
from faceapi.errors import ApiError

OURS = ["10.0.0.0/8", "2001:db8:ffff::/48"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("198.51.100.7", None, "198.51.100.7"),
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),  # claimed by the caller
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "192.0.2.66, 203.0.113.9", "203.0.113.9"),  # the first hop is claimed by the caller
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9, nonsense", "10.0.0.1"),
        ("2001:db8:ffff::1", "[2001:db8::9]", "2001:db8::9"),
        ("10.0.0.1", "192.0.2.66, 203.0.113.9:50312", "203.0.113.9"),
        ("10.0.0.1", "[2001:db8::9]:50312", "2001:db8::9"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("", "203.0.113.9", "203.0.113.9"),  # a proxy on a unix socket
        ("fe80::1%eth0", None, "fe80::1"),  # a link-local address with its interface
    ],
)
def test_the_client_is_the_last_untrusted_hop(
    settings: Settings, peer: str, forwarded: str | None, found: str
) -> None:
    settings.TRUSTED_PROXIES = OURS
    meta = {"REMOTE_ADDR": peer} | ({"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {})
    assert client_address(meta) == found


@pytest.mark.parametrize("peer", ["198.51.100.7", ""])
def test_without_trusted_proxies_forwarded_headers_are_ignored(settings: Settings, peer: str) -> None:
    settings.TRUSTED_PROXIES = []
    meta = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": "203.0.113.9"}
    assert client_address(meta) == (peer or None)


@pytest.mark.parametrize(
    ("address", "is_allowed"),
    [
        ("203.0.113.9", True),
        ("::ffff:203.0.113.9", True),
        ("203.0.114.1", False),
        ("2001:db8::9", True),
        ("2001:db9::9", False),
        (None, False),
    ],
)
def test_4106_for_an_address_outside_the_list_of_an_app(address: str | None, is_allowed: bool) -> None:
    allowed = ["203.0.113.0/24", "2001:db8::/32"]
    caller.check_address([], address)
    if is_allowed:
        caller.check_address(allowed, address)
        return
    with pytest.raises(ApiError) as caught:
        caller.check_address(allowed, address)
    assert caught.value.code == errors.ADDRESS
    assert (address or "an unknown address") in caught.value.detail
