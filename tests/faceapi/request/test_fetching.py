"""Images by URL: hostile servers, forbidden addresses, changing DNS, many slow servers at once."""

import ipaddress
import socket
import ssl
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.utils import timezone
from pytest_django import Settings

from faceapi import errors
from faceapi.errors import ApiError
from faceapi.request import addresses, fetching, name_lookup
from faceapi.request.addresses import is_allowed
from faceapi.request.fetching import fetch
from tests.conftest import wait_until
from tests.faceapi.conftest import Caller, encode, inline
from tests.faceapi.request import name_server
from tests.faceapi.servers import Servers, drip

TIMEOUT_S = 1.0


@pytest.fixture
def limits(settings: Settings) -> None:
    settings.URL_TIMEOUT_S = TIMEOUT_S
    settings.URL_ALLOWED_NETWORKS = ["127.0.0.1/32"]


def get(url: str, within_s: float = 20) -> bytes:
    return fetch(url, deadline=time.monotonic() + within_s, cancelled=threading.Event())


@pytest.mark.usefixtures("limits")
@pytest.mark.parametrize(
    "path", ["image", "chunked", "too-long", "hops/1", "hops/3", "gzip", "hints", "utf8-location"]
)
def test_a_picture_is_fetched(servers: Servers, path: str) -> None:
    assert get(servers.url(path)) == servers.image


HOSTILE = {
    "status/403": errors.URL_WRONG,
    "status/410": errors.URL_WRONG,
    "status/500": errors.URL_UNREACHABLE,
    "status/204": errors.URL_UNREACHABLE,
    "status/304": errors.URL_UNREACHABLE,
    "status/100": errors.URL_UNREACHABLE,
    "slow-headers": errors.URL_TIMEOUT,
    "slow-body": errors.URL_TIMEOUT,
    "silent": errors.URL_TIMEOUT,
    "endless": errors.IMAGE_TOO_LARGE,
    "endless-headers": errors.URL_UNREACHABLE,
    "large": errors.IMAGE_TOO_LARGE,
    "too-short": errors.URL_UNREACHABLE,
    "not-http": errors.URL_UNREACHABLE,
    "bad-chunks": errors.URL_UNREACHABLE,
    "brotli": errors.URL_UNREACHABLE,
    "endless-hints": errors.URL_UNREACHABLE,
    "bomb": errors.IMAGE_TOO_LARGE,
    "loop": errors.URL_UNREACHABLE,
    "hops/4": errors.URL_UNREACHABLE,
    "no-location": errors.URL_UNREACHABLE,
    "redirect/302/http://127.0.0.2/x": errors.URL_UNREACHABLE,
    "redirect/301/http://10.0.0.1/x": errors.URL_UNREACHABLE,
    "redirect/307/http://[::ffff:10.0.0.1]/x": errors.URL_UNREACHABLE,
    "redirect/308/http://169.254.169.254/latest/meta-data/": errors.URL_UNREACHABLE,
    "redirect/302/file:///etc/passwd": errors.URL_UNREACHABLE,
    "redirect/302/gopher://127.0.0.1/": errors.URL_UNREACHABLE,
}


@pytest.mark.usefixtures("limits")
@pytest.mark.parametrize("path", HOSTILE)
def test_each_fault_of_a_server_gets_its_code(servers: Servers, path: str) -> None:
    has_to_wait = HOSTILE[path] == errors.URL_TIMEOUT
    started = time.monotonic()
    with pytest.raises(ApiError) as caught:
        get(servers.url(path), within_s=TIMEOUT_S if has_to_wait else 20)
    assert caught.value.code == HOSTILE[path], caught.value.detail
    assert not has_to_wait or time.monotonic() - started < TIMEOUT_S + 3  # the server sends for longer
    assert "127.0.0" not in caught.value.detail  # nothing about the internal network


@pytest.mark.usefixtures("limits")
def test_an_untrusted_certificate_is_rejected(tmp_path: Path) -> None:
    """The certificate is self-signed, for the requested host."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        handshake = pool.submit(accept_tls, listener, context)
        with pytest.raises(ApiError) as caught:
            get(f"https://127.0.0.1:{listener.getsockname()[1]}/image")
        assert handshake.result() == "refused"
    assert caught.value.code == errors.URL_UNREACHABLE
    assert caught.value.detail.startswith("TLS: ")


@pytest.mark.usefixtures("limits")
@pytest.mark.parametrize("speaks_tls", [True, False])
def test_a_tls_server_that_sends_slowly_times_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speaks_tls: bool
) -> None:
    """Sending a byte now and then, in the handshake or after it, does not extend the deadline."""
    certificate = self_signed(tmp_path)
    trusting = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr(fetching, "_tls_context", lambda: trusting)
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        dripping = pool.submit(drip_tls, listener, certificate if speaks_tls else None)
        started = time.monotonic()
        with pytest.raises(ApiError) as caught:
            get(f"https://127.0.0.1:{listener.getsockname()[1]}/image", within_s=TIMEOUT_S)
        assert time.monotonic() - started < TIMEOUT_S + 3
        assert dripping.result() > 3
    assert caught.value.code == errors.URL_TIMEOUT


def drip_tls(listener: socket.socket, certificate: Path | None) -> int:
    """Answer one byte at a time until the client disconnects; return the number of bytes."""
    client, _ = listener.accept()
    head = b"\x16\x03\x03\x40\x00"  # a TLS handshake record that is never completed
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        client = context.wrap_socket(client, server_side=True)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    with client:
        for sent, byte in enumerate(drip(head + bytes(1000))):
            try:
                client.sendall(byte)
            except OSError:
                return sent
    return len(head) + 1000


def accept_tls(listener: socket.socket, context: ssl.SSLContext) -> str:
    client, _ = listener.accept()
    with client:
        try:
            context.wrap_socket(client, server_side=True).close()
        except (ssl.SSLError, ConnectionError):
            return "refused"
    return "accepted"


def self_signed(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    at, host = timezone.now(), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(at - timedelta(days=1))
        .not_valid_after(at + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([host]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    file = folder / "self-signed.pem"
    file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + certificate.public_bytes(pem)
    )
    return file


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "100.100.100.200", "192.0.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.1.1",
        "240.0.0.1", "255.255.255.255", "168.63.129.16",
        "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a00:1",
        "2002:7f00:1::", "2002:a00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ],
)  # fmt: skip
def test_private_addresses_are_never_contacted(address: str) -> None:
    assert not is_allowed(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_allowed(ipaddress.ip_address(address))


@pytest.mark.usefixtures("limits")
@pytest.mark.parametrize(
    "host",
    [
        "localhost.localdomain",
        "127.1",
        "2130706434",
        "0x7f.0.0.2",
        "0177.0.0.2",
        "[::1]",
        "[::ffff:7f00:2]",
        "0",
    ],
)
def test_other_spellings_of_private_addresses_are_rejected(
    servers: Servers, host: str, settings: Settings
) -> None:
    settings.URL_ALLOWED_NETWORKS = []
    asked = len(servers.requests)
    with pytest.raises(ApiError) as caught:
        get(servers.url("image", host))
    assert caught.value.code == errors.URL_UNREACHABLE
    assert len(servers.requests) == asked


@pytest.mark.usefixtures("limits")
def test_dns_rebinding_does_not_reach_a_private_address(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    """The name resolves to a public address first, then to a private one."""
    connected: list[str] = []
    connect = socket.create_connection

    def noted(address: tuple[str, int], *rest: Any, **named: Any) -> socket.socket:
        connected.append(address[0])
        return connect(address, *rest, **named)

    monkeypatch.setattr(socket, "create_connection", noted)
    with name_server.running({"rebind.example": ["A 127.0.0.1"]}) as (dns, address):
        settings.URL_NAME_SERVERS = [address]
        assert get(servers.url("image", "rebind.example")) == servers.image
        dns.zone["rebind.example"] = ["A 127.0.0.2"]
        name_lookup._resolver.cache_clear()
        with pytest.raises(ApiError):
            get(servers.url("image", "rebind.example"))
    assert connected == ["127.0.0.1"]


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "//example.org/x", "http://", "http:///x", "https://:80/", "http://a b/", "http://exa\nmple.org/",
        "http://example.org:99999/", "http://example.org:22/", "http://user@example.org/", "http://u:p@example.org/",
        "file:///etc/passwd", "ftp://example.org/", "javascript:alert(1)", "http://[::1",
        "http://" + "a" * 70 + ".org/", "http://example.org/" + "x" * 9000, "http://example.org/\ud800",
    ],
)  # fmt: skip
def test_4011_for_invalid_urls(url: str) -> None:
    with pytest.raises(ApiError) as caught:
        fetching.check_url(url, 3)
    assert (caught.value.code, caught.value.index) == (errors.URL_WRONG, 3)


@pytest.mark.usefixtures("limits")
def test_path_and_query_are_sent_unchanged(servers: Servers) -> None:
    get(servers.url("image/a%20b/图.jpg?sign=a%2Bb+c&x=人#fragment"))
    line = servers.requests[-1].splitlines()[0]
    assert line == "GET /image/a%20b/%E5%9B%BE.jpg?sign=a%2Bb+c&x=%E4%BA%BA HTTP/1.1"


@pytest.mark.usefixtures("limits")
def test_a_location_is_percent_encoded(servers: Servers) -> None:
    get(servers.url("utf8-location"))
    line = servers.requests[-1].splitlines()[0]
    assert line == "GET /image/%E5%9B%BE%20%E7%89%87.jpg?a=1 HTTP/1.1"


def test_own_addresses_are_never_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1 represents a public address of an interface, because the test machine may have none."""
    assert addresses.is_our_own(ipaddress.ip_address("127.0.0.1"))
    assert not addresses.is_our_own(ipaddress.ip_address("203.0.113.9"))
    monkeypatch.setattr(addresses, "is_allowed", lambda address, extra: True)
    with pytest.raises(ApiError) as caught:
        addresses.resolve("127.0.0.1", 80, time.monotonic() + 30)
    assert caught.value.code == errors.URL_UNREACHABLE


def test_addresses_of_the_sites_own_names_are_never_fetched(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    """Behind NAT, the public address of the site is on no interface. 127.0.0.2 represents it."""
    monkeypatch.setattr(addresses, "is_allowed", lambda address, extra: True)
    monkeypatch.setattr(addresses, "is_our_own", lambda address: False)
    settings.SITE_URL = "https://127.0.0.2:8443"
    settings.ALLOWED_HOSTS = ["127.0.0.3", ".example.org", "no-such-name.invalid"]
    monkeypatch.setattr(addresses, "_own", addresses.OwnNames())
    deadline = time.monotonic() + 30
    for ours in ("127.0.0.2", "127.0.0.3"):
        with pytest.raises(ApiError):
            addresses.resolve(ours, 80, deadline)
    assert addresses.resolve("127.0.0.4", 80, deadline) == [("127.0.0.4", 80)]
    settings.URL_ALLOWED_NETWORKS = ["127.0.0.2/32"]
    assert addresses.resolve("127.0.0.2", 80, deadline) == [("127.0.0.2", 80)]


def test_one_customer_leaves_fetch_threads_to_others() -> None:
    """Six customers with twenty slow URLs each; a seventh finds a thread at once."""
    pool, release = fetching.Pool(32), threading.Event()

    def slow() -> bytes:
        release.wait(60)
        return b""

    waiting = [pool.submit(customer, slow) for customer in range(6) for _ in range(20)]
    try:
        assert pool.submit(7, lambda: b"served").result(timeout=30) == b"served"
        running = sum(future.running() for future in waiting)
        assert 6 <= running < 32
    finally:
        release.set()
    assert [future.result(timeout=30) for future in waiting] == [b""] * 120


def test_slow_urls_of_one_customer_do_not_block_others(
    caller: Caller, stranger: Caller, servers: Servers
) -> None:
    """URL_CALLS_PER_CUSTOMER is 2 here: a customer's third call is refused, another customer's is served."""

    def slow(number: int) -> int:
        return caller.call([servers.url(f"silent/{number}")]).code

    def refused() -> list[Future[int]]:
        return [future for future in waiting if future.done()]

    with ThreadPoolExecutor(6) as pool:
        waiting = [pool.submit(slow, i) for i in range(6)]
        wait_until(lambda: len(refused()) == 4, timeout_s=3, what="the others are refused")
        assert stranger.call([servers.url("image")]).code == 0
        assert caller.call([inline(encode())]).code == 0
        assert len(refused()) == 4  # the slow calls are still waiting
        codes = sorted(future.result() for future in waiting)
    assert codes == [4005, 4005, 4291, 4291, 4291, 4291]
