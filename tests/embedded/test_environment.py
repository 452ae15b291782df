"""Secrets: random, generated once, private to their owner, overridden by the environment."""

from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from embedded.environment import DEMO_PASSWORDS, KEYS, read_env, secret_values, write_env


@pytest.fixture(autouse=True)
def no_secrets_of_this_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*KEYS, *DEMO_PASSWORDS):
        monkeypatch.delenv(name, raising=False)


def test_secrets_are_generated_once(tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"
    keys = secret_values(path, KEYS)
    passwords = secret_values(path, DEMO_PASSWORDS)
    assert path.stat().st_mode & 0o777 == 0o600
    assert secret_values(path, KEYS) == keys
    assert secret_values(path, DEMO_PASSWORDS) == passwords
    assert read_env(path) == keys | passwords
    assert len(keys["DJANGO_SECRET_KEY"]) >= 50
    Fernet(keys["ENCRYPTION_KEY"])
    assert secret_values(tmp_path / "other.env", KEYS) != keys


def test_environment_variables_take_precedence_and_are_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secrets.env"
    monkeypatch.setenv("DJANGO_SECRET_KEY", "from the environment")
    assert secret_values(path, KEYS)["DJANGO_SECRET_KEY"] == "from the environment"
    assert "from the environment" not in path.read_text()


def test_files_are_written_atomically(tmp_path: Path) -> None:
    path = tmp_path / "demo.env"
    path.with_name("demo.env.new").write_text("A=hal")
    write_env(path, {"A": "whole", "B": "x=y"})
    assert read_env(path) == {"A": "whole", "B": "x=y"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["demo.env"]
