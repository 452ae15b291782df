"""An invalid setting is rejected with its name, instead of a default or a traceback."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from facecloud.env import Env


def read(monkeypatch: pytest.MonkeyPatch, value: str) -> Env:
    monkeypatch.setenv("SETTING", value)
    return Env()


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("int", "many"),
        ("float", "soon"),
        ("bool", "maybe"),
        ("db_url", "garbage"),
        ("db_url", "mysql://localhost/facecloud"),
        ("email_url", "mail.example.org"),
        ("origin", "face.example.org"),
        ("origin", "https://face.example.org/console/"),
        ("origin", "ftp://face.example.org"),
        ("networks", "10.0.0.0/8, here"),
        ("networks", "10.0.0.0/99"),
    ],
)
def test_an_invalid_value_is_named(monkeypatch: pytest.MonkeyPatch, kind: str, wrong: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="SETTING"):
        getattr(read(monkeypatch, wrong), kind)("SETTING")


@pytest.mark.parametrize(
    ("value", "meant"),
    [("True", True), ("1", True), ("on", True), ("False", False), ("0", False), ("", False)],
)
def test_booleans_are_read(monkeypatch: pytest.MonkeyPatch, value: str, meant: bool) -> None:
    assert read(monkeypatch, value).bool("SETTING") is meant


def test_networks_may_be_written_as_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    env = read(monkeypatch, "10.1.2.3/8, 192.0.2.7, ::1")
    assert env.networks("SETTING") == ["10.0.0.0/8", "192.0.2.7/32", "::1/128"]
    assert env.networks("ANOTHER") == []


def test_an_unknown_log_level_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, "debug").log_level("SETTING", default="INFO") == "DEBUG"
    with pytest.raises(ImproperlyConfigured, match="SETTING"):
        read(monkeypatch, "loud").log_level("SETTING", default="INFO")


@pytest.mark.parametrize("wrong", ["0", "-1", "few"])
def test_a_count_is_at_least_one(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    assert read(monkeypatch, "3").count("SETTING", default=2) == 3
    assert Env().count("ANOTHER", default=2) == 2
    with pytest.raises(ImproperlyConfigured, match="SETTING"):
        read(monkeypatch, wrong).count("SETTING", default=2)


def test_a_value_that_is_not_a_choice_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    choices = ["threads", "prefork"]
    assert read(monkeypatch, "prefork").choice("SETTING", default="threads", choices=choices) == "prefork"
    with pytest.raises(ImproperlyConfigured, match="SETTING should be threads or prefork"):
        read(monkeypatch, "fork").choice("SETTING", default="threads", choices=choices)


def test_folders_must_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert read(monkeypatch, str(tmp_path)).folder("SETTING", default="/") == tmp_path
    with pytest.raises(ImproperlyConfigured, match=r"SETTING: .*none is not a writable folder"):
        read(monkeypatch, str(tmp_path / "none")).folder("SETTING", default="/")


def test_addresses_of_services_are_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, "postgres://u:p@db:5433/face").db_url("SETTING")["HOST"] == "db"
    assert read(monkeypatch, "smtp://u:p@mail:25").email_url("SETTING")["EMAIL_HOST"] == "mail"


def test_a_wildcard_host_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `*`, the Host header of a request could be anything."""
    assert read(monkeypatch, "a.example, b.example").hosts("SETTING", default=[]) == [
        "a.example",
        "b.example",
    ]
    with pytest.raises(ImproperlyConfigured, match="SETTING should list the host names"):
        read(monkeypatch, "a.example, *").hosts("SETTING", default=[])


def test_mails_are_never_printed_to_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    for url, backend in (
        ("consolemail://", "LogBackend"),
        ("", "FolderBackend"),
        ("filemail:////tmp/m", "FolderBackend"),
    ):
        assert read(monkeypatch, url).email_url("SETTING", default="")["EMAIL_BACKEND"].endswith(backend)
