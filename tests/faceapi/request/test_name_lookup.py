"""Look-ups of host names in URLs, with a real name server that is slow, silent or gives false answers."""

import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from faceapi import errors
from faceapi.errors import ApiError
from faceapi.request import addresses, name_lookup
from faceapi.request.name_lookup import NotFoundError, TooLateError, addresses_of
from facecloud.env import Env
from tests.faceapi.request.name_server import NameServer, running

V4, V6 = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"


@pytest.fixture
def dns(settings: Settings) -> Iterator[NameServer]:
    zone = {
        "both.example": [f"A {V4}", f"AAAA {V6}"],
        "four.example": [f"A {V4}"],
        "six.example": [f"AAAA {V6}"],
        "alias.example": ["CNAME both.example."],
        "inner-alias.example": ["CNAME inner.example."],
        "inner.example": ["A 10.0.0.1"],
        "mixed.example": [f"A {V4}", "A 169.254.169.254"],
        "mixed-kinds.example": [f"A {V4}", "AAAA fd00::1"],
        "mapped.example": ["AAAA ::ffff:10.0.0.1"],
        "loop.example": ["CNAME loop.example."],
        "dangling.example": ["CNAME nowhere.example."],
        "none.example": ["TXT x"],
        "silent.example": ["SILENT"],
        "half-silent.example": [f"A {V4}", "SILENT AAAA"],
        "broken.example": ["SERVFAIL"],
        "garbage.example": ["GARBAGE"],
        "lies.example": ["LIES"],
        "truncated.example": ["TRUNCATED", f"A {V4}"],
        "many.example": [f"A 93.184.{i // 250}.{i % 250 + 1}" for i in range(60)],
        "too-many.example": [f"A 93.184.{i // 250}.{i % 250 + 1}" for i in range(600)],
        "xn--fiq228c.example": [f"A {V4}"],
    }
    with running(zone) as (server, address):
        settings.URL_NAME_SERVERS = [address]
        yield server


def found(host: str, seconds: float = 30) -> list[str]:
    return [str(address) for address in addresses_of(host, time.monotonic() + seconds)]


@pytest.mark.usefixtures("dns")
@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("both.example", [V4, V6]),
        ("BOTH.example.", [V4, V6]),
        ("four.example", [V4]),
        ("six.example", [V6]),
        ("alias.example", [V4, V6]),
        ("中文.example", [V4]),
        ("half-silent.example", [V4]),
        ("93.184.215.14", [V4]),
        (V6, [V6]),
    ],
)
def test_names_are_resolved(host: str, expected: list[str]) -> None:
    assert found(host) == expected


@pytest.mark.usefixtures("dns")
@pytest.mark.parametrize(
    "host",
    [
        "no.example", "none.example", "dangling.example", "loop.example", "broken.example",
        "too-many.example", "localhost", "a.localhost", "0x7f.1", "127.1", "0177.0.0.1", "2130706433",
        "a" * 64 + ".example", "a..b",
    ],
)  # fmt: skip
def test_a_name_without_an_address_is_rejected(host: str) -> None:
    with pytest.raises((NotFoundError, TooLateError)):
        found(host)


@pytest.mark.parametrize("host", ["silent.example", "lies.example", "garbage.example"])
def test_a_silent_name_server_times_out_at_the_deadline(host: str, dns: NameServer) -> None:
    with pytest.raises(ApiError) as caught:
        addresses.resolve(host, 80, time.monotonic() + 0.5)
    assert caught.value.code in (errors.URL_TIMEOUT, errors.URL_UNREACHABLE)
    assert dns.questions[host, "A"] >= 1
    with pytest.raises(ApiError) as caught:
        addresses.resolve("both.example", 80, time.monotonic() - 1)
    assert caught.value.code == errors.URL_TIMEOUT


def test_a_truncated_answer_is_requested_again_over_tcp(dns: NameServer) -> None:
    assert found("truncated.example") == [V4]
    assert dns.by_tcp >= 1
    assert len(found("many.example")) == 60


def test_answers_are_reused_until_they_expire(dns: NameServer) -> None:
    for _ in range(5):
        found("both.example")
    assert dns.questions["both.example", "A"] == 1


def test_search_domains_and_the_hosts_file_are_not_used(dns: NameServer) -> None:
    """A single label is looked up as it is, and a name of the hosts file too."""
    for host in ("both", "ip6-localhost"):
        with pytest.raises(NotFoundError):
            found(host)
    assert {name for name, _ in dns.questions} == {"both", "ip6-localhost"}


@pytest.mark.usefixtures("dns")
@pytest.mark.parametrize(
    "host",
    ["inner.example", "inner-alias.example", "mixed.example", "mixed-kinds.example", "mapped.example"],
)
def test_4004_if_any_address_of_a_name_is_forbidden(host: str) -> None:
    with pytest.raises(ApiError) as caught:
        addresses.resolve(host, 80, time.monotonic() + 30)
    assert caught.value.code == errors.URL_UNREACHABLE
    assert caught.value.detail == "the host resolves to an address that is not public"
    assert addresses.resolve("both.example", 80, time.monotonic() + 30) == [(V4, 80), (V6, 80)]


def test_own_addresses_are_kept_if_the_name_server_is_silent(
    dns: NameServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SITE_URL, settings.ALLOWED_HOSTS = "https://four.example", []
    own = addresses.OwnNames()
    assert own.addresses() == {ip_address(V4)}
    dns.zone["four.example"] = ["SILENT"]
    monkeypatch.setattr(own, "_good_until", 0.0)
    monkeypatch.setattr(addresses, "OWN_NAMES_S", 0.3)
    name_lookup._resolver.cache_clear()
    assert own.addresses() == {ip_address(V4)}


@pytest.mark.parametrize("text", [None, "", "nameserver 300.1.1.1\n", "\xff\xfe\n"])
def test_5003_without_a_usable_resolv_conf(
    text: str | None, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is missing, empty or broken, which is not the caller's fault."""
    settings.URL_NAME_SERVERS = []
    file = tmp_path / "resolv.conf"
    if text is not None:
        file.write_bytes(text.encode("latin-1"))
    monkeypatch.setattr(name_lookup, "RESOLV_CONF", file)
    name_lookup._resolver.cache_clear()
    with pytest.raises(ApiError) as caught:
        addresses.resolve("both.example", 80, time.monotonic() + 5)
    assert (caught.value.code, caught.value.retry_after_s) == (errors.OVERLOADED, 5)
    name_lookup._resolver.cache_clear()


def test_5003_if_no_name_server_can_be_reached(settings: Settings) -> None:
    settings.URL_NAME_SERVERS = ["255.255.255.255"]  # a broadcast address: sending is not permitted
    with pytest.raises(ApiError) as caught:
        addresses.resolve("both.example", 80, time.monotonic() + 5)
    assert caught.value.code == errors.OVERLOADED


@pytest.mark.parametrize("value", ["dns.example", "127.0.0.1#", "127.0.0.1#0", "127.0.0.1#70000", "1.2.3"])
def test_a_name_server_must_be_an_ip_address(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVERS", value)
    with pytest.raises(ImproperlyConfigured, match="SERVERS"):
        Env().name_servers("SERVERS")
    monkeypatch.setenv("SERVERS", "9.9.9.9, ::1#5353")
    assert Env().name_servers("SERVERS") == ["9.9.9.9", "::1#5353"]
