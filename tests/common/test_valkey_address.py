"""REDIS_URL: valid and invalid values, and TLS and Sentinel with real servers."""

import datetime
import ipaddress
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import kombu
import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pytest_django import Settings

from bench.ports import free_port
from common import valkey, valkey_address
from embedded.services.valkey import Valkey, server
from tests.conftest import wait_until

SENTINEL = "sentinel://:pw@one:26379,two/3?service=faces"


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("redis://host", "redis://host:6379/0"),
        ("redis://:p%40ss@host:7000/2", "redis://:p%40ss@host:7000/2"),
        ("rediss://user:pw@[::1]:6380/1", "redis://user:pw@[::1]:6380/1"),
        ("unix:///run/valkey.sock", "redis+socket:///run/valkey.sock"),
        (SENTINEL, "sentinel://:pw@one:26379/3;sentinel://:pw@two:26379/3"),
    ],
)
def test_addresses_of_valkey_are_passed_to_the_broker(url: str, broker: str) -> None:
    assert valkey_address.parse(url).broker_url() == broker


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("redis+cluster://one,two", "cluster is not supported"),
        ("redis://one:6379,two:6379/0", "several hosts"),
        ("http://host", "should begin with redis://"),
        ("host:6379", "should begin with"),
        ("redis://", "name a host"),
        ("redis://host:port", "port that is a number"),
        ("redis://host/zero", "a number"),
        ("redis://host?timeout=5", "unknown options: timeout"),
        ("redis://host?ssl_cert_reqs=none", "unknown options: ssl_cert_reqs"),
        ("rediss://host?ssl_cert_reqs=no", "ssl_cert_reqs should be none or optional or required"),
        ("sentinel://host", "needs ?service=NAME"),
        ("unix://run/valkey.sock", "unix:///path"),
    ],
)
def test_invalid_addresses_of_valkey_are_rejected(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        valkey_address.parse(url)


def test_no_message_contains_the_password() -> None:
    with pytest.raises(ValueError, match="several hosts") as refused:
        valkey_address.parse("redis://:hunter2@one,two")
    assert "hunter2" not in str(refused.value)


def certificate(folder: Path) -> Path:
    """Return a certificate for 127.0.0.1 that no authority signed; the key is in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "valkey")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "valkey.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return file


@contextmanager
def tls_in_front_of(path: Path, file: Path) -> Iterator[int]:
    """Yield a port that terminates TLS and forwards everything to the socket at `path`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    listener = socket.create_server(("127.0.0.1", 0))
    opened: list[socket.socket] = []

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                plain, _ = listener.accept()
                opened.append(plain)
                with suppress(OSError):
                    client = context.wrap_socket(plain, server_side=True)
                    inner = socket.socket(socket.AF_UNIX)
                    opened.extend((client, inner))
                    inner.connect(str(path))
                    for pair in ((client, inner), (inner, client)):
                        threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for one in opened:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def by_client(settings: Settings, url: str) -> None:
    settings.REDIS_URL = url
    valkey.client.cache_clear()
    try:
        assert valkey.client().set("seen", b"client")
    finally:
        valkey.client.cache_clear()


def by_broker(settings: Settings, url: str) -> None:
    address = valkey_address.parse(url)
    options: dict[str, Any] = {"socket_timeout": 5, "socket_connect_timeout": 5}
    if address.is_sentinel:
        options |= {"master_name": address.service, "sentinel_kwargs": address.sentinel_options()}
    with kombu.Connection(address.broker_url(), ssl=address.tls(), transport_options=options) as connection:
        connection.SimpleQueue("tls-test").put({"seen": "broker"})


@pytest.mark.parametrize("connect", [by_client, by_broker])
def test_the_certificate_is_verified_by_default(
    connect: Callable[[Settings, str], None], settings: Settings, folder: Path
) -> None:
    embedded = Valkey(sockets=folder, log=folder / "valkey.log")
    embedded.start()
    before = settings.REDIS_URL
    try:
        file = certificate(folder)
        with tls_in_front_of(embedded.socket, file) as port:
            url = f"rediss://:secret@127.0.0.1:{port}/0"
            with pytest.raises(Exception, match=r"certificate verify failed|CERTIFICATE_VERIFY_FAILED"):
                connect(settings, url)
            with redis.Redis(unix_socket_path=str(embedded.socket)) as client:
                client.execute_command("ACL", "SETUSER", "default", "on", ">secret")
            connect(settings, f"{url}?ssl_ca_certs={file}")
            connect(settings, f"{url}?ssl_cert_reqs=none")
    finally:
        settings.REDIS_URL = before
        valkey.client.cache_clear()
        embedded.stop()


@contextmanager
def valkey_on(port: int, folder: Path, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    flags = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), *options]
    process = subprocess.Popen([server(), *flags], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: pings(port), timeout_s=20, what="valkey-server")
        yield process
    finally:
        process.kill()
        process.wait()


def pings(port: int) -> bool:
    try:
        with redis.Redis(port=port, socket_timeout=2) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def test_client_and_broker_follow_a_failover_by_sentinel(settings: Settings, folder: Path) -> None:
    first, second, watching = free_port(), free_port(), free_port()
    config = folder / "sentinel.conf"
    config.write_text(
        f"port {watching}\nbind 127.0.0.1\ndir {folder}\n"
        f"sentinel monitor faces 127.0.0.1 {first} 1\n"
        "sentinel down-after-milliseconds faces 1000\n"
        "sentinel failover-timeout faces 5000\n"
    )
    url = f"sentinel://127.0.0.1:{watching}/0?service=faces"
    before = settings.REDIS_URL
    with (
        valkey_on(first, folder) as primary,
        valkey_on(second, folder, "--replicaof", f"127.0.0.1 {first}"),
    ):
        sentinel = subprocess.Popen([server(), str(config), "--sentinel"], stdout=subprocess.DEVNULL)
        try:
            wait_until(
                lambda: has_found_the_replica(watching), timeout_s=60, what="Sentinel sees the replica"
            )
            by_client(settings, url)
            by_broker(settings, url)
            primary.kill()
            wait_until(lambda: is_served(by_client, settings, url), timeout_s=90, what="the new primary")
            wait_until(lambda: is_served(by_broker, settings, url), timeout_s=30, what="the broker")
            with redis.Redis(port=second) as client:
                assert client.get("seen") == b"client"
        finally:
            settings.REDIS_URL = before
            valkey.client.cache_clear()
            sentinel.kill()
            sentinel.wait()


@contextmanager
def silent_server() -> Iterator[tuple[int, list[socket.socket]]]:
    """Yield a port that accepts connections without a reply, and those that were made."""
    accepted: list[socket.socket] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                accepted.append(listener.accept()[0])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listener.getsockname()[1], accepted
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for one in accepted:
                one.close()


@pytest.mark.parametrize(("connect", "searches"), [(by_client, 1), (by_broker, 2)])
def test_a_sentinel_that_does_not_reply_is_tried_once_in_each_search_for_the_primary(
    connect: Callable[[Settings, str], None], searches: int, settings: Settings, folder: Path
) -> None:
    port, watching = free_port(), free_port()
    config = folder / "sentinel.conf"
    config.write_text(
        f"port {watching}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor faces 127.0.0.1 {port} 1\n"
    )
    before = settings.REDIS_URL
    with valkey_on(port, folder), silent_server() as (silent, attempts):
        sentinel = subprocess.Popen([server(), str(config), "--sentinel"], stdout=subprocess.DEVNULL)
        try:
            wait_until(lambda: pings(watching), timeout_s=60, what="Sentinel")
            connect(settings, f"sentinel://127.0.0.1:{silent},127.0.0.1:{watching}/0?service=faces")
            assert len(attempts) == searches
        finally:
            settings.REDIS_URL = before
            valkey.client.cache_clear()
            sentinel.kill()
            sentinel.wait()


def test_a_late_answer_is_discarded(settings: Settings, folder: Path) -> None:
    """A connection whose answer timed out must not give that answer to the next command."""
    port, watching = free_port(), free_port()
    config = folder / "sentinel.conf"
    config.write_text(
        f"port {watching}\nbind 127.0.0.1\ndir {folder}\n"
        f"sentinel monitor faces 127.0.0.1 {port} 1\n"
        "sentinel down-after-milliseconds faces 60000\n"
    )
    before = settings.REDIS_URL, settings.VALKEY_TIMEOUT_S
    with valkey_on(port, folder) as primary:
        sentinel = subprocess.Popen([server(), str(config), "--sentinel"], stdout=subprocess.DEVNULL)
        try:
            wait_until(lambda: pings(watching), timeout_s=60, what="Sentinel")
            settings.REDIS_URL = f"sentinel://127.0.0.1:{watching}/0?service=faces"
            settings.VALKEY_TIMEOUT_S = 0.5
            valkey.client.cache_clear()
            client = valkey.client()
            client.mset({"mine": "mine", "another's": "another's"})
            primary.send_signal(signal.SIGSTOP)
            with pytest.raises(redis.TimeoutError):
                client.get("another's")
            primary.send_signal(signal.SIGCONT)
            wait_until(lambda: pings(port), timeout_s=30, what="the server")
            assert client.get("mine") == b"mine"
            pool: Any = client.connection_pool
            for opened in (client, *pool.sentinel_manager.sentinels):
                opened.close()
        finally:
            primary.send_signal(signal.SIGCONT)
            settings.REDIS_URL, settings.VALKEY_TIMEOUT_S = before
            valkey.client.cache_clear()
            sentinel.kill()
            sentinel.wait()


def has_found_the_replica(port: int) -> bool:
    with suppress(redis.RedisError), redis.Redis(port=port, socket_timeout=2) as client:
        found = client.execute_command("SENTINEL", "REPLICAS", "faces")
        return len(found) == 1
    return False


def is_served(connect: Callable[[Settings, str], None], settings: Settings, url: str) -> bool:
    try:
        connect(settings, url)
    except (redis.RedisError, kombu.exceptions.OperationalError):
        time.sleep(0.2)
        return False
    return True
