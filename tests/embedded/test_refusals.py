"""The messages of bin/start if it cannot start, the host names that it allows, and who may register."""

import socket
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bench.ports import free_port
from embedded import smoke_test, start
from tests.client.scripted import reply, scripted


def test_an_unwritable_file_is_reported_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with tempfile.TemporaryDirectory(prefix="facecloud-") as folder:
        in_the_way = Path(folder) / "log" / "prepare.log"
        in_the_way.mkdir(parents=True)
        monkeypatch.setenv("FACECLOUD_VAR_DIR", folder)
        monkeypatch.setattr("signal.signal", lambda *_: None)  # the test run keeps its own
        assert start.main(["--port", str(free_port())]) == 1
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("bin/start cannot continue: [Errno 21] Is a directory")
    assert str(in_the_way) in told


def test_environment_proxies_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        scripted(reply("502 Bad Gateway", "a proxy")) as proxy,
        scripted(reply("200 OK", {"code": 0})) as site,
    ):
        monkeypatch.setenv("http_proxy", proxy.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        assert start.is_ready(site.url)
        assert smoke_test.detect(site.url, "key", "secret", b"picture") == {"code": 0}
    assert proxy.requests == []


@pytest.mark.parametrize(
    ("host", "wished", "allowed"),
    [
        ("127.0.0.1", "", "localhost,127.0.0.1,[::1]"),
        ("::1", "face.example.org", "face.example.org,localhost,127.0.0.1,[::1]"),
        ("0.0.0.0", "face.example.org", "face.example.org,localhost,127.0.0.1,[::1],0.0.0.0"),
    ],
)
def test_allowed_hosts_are_the_bound_address_and_the_configured_names(
    host: str, wished: str, allowed: str
) -> None:
    assert start.allowed_hosts(host, wished) == allowed


@pytest.mark.parametrize("host", start.EVERYWHERE)
def test_binding_everywhere_allows_the_names_and_addresses_of_this_machine(host: str) -> None:
    names = start.allowed_hosts(host, "").split(",")
    assert "*" not in names
    assert {socket.gethostname().lower(), "127.0.0.1", *map(start.bracketed, start.own_addresses())} <= set(
        names
    )
    link = urlsplit(start.site_url(host, 8000))
    assert link.port == 8000
    assert link.hostname in start.own_addresses()


@pytest.mark.parametrize(
    ("host", "limit"), [("127.0.0.1", "1000"), ("0.0.0.0", None), ("face.example.org", None)]
)
def test_registration_is_open_by_default(
    monkeypatch: pytest.MonkeyPatch, host: str, limit: str | None
) -> None:
    for name in ("REGISTRATION", "REGISTRATIONS_PER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    chosen = start.registrations(host)
    assert (chosen["REGISTRATION"], chosen.get("REGISTRATIONS_PER_ADDRESS")) == ("open", limit)
    monkeypatch.setenv("REGISTRATION", "closed")
    assert start.registrations(host)["REGISTRATION"] == "closed"
