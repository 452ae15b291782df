"""Environment variables in files: the user's .env, and the secrets that the embedded default makes."""

import os
import secrets
from pathlib import Path

import environ
from cryptography.fernet import Fernet

from facecloud.local.places import REPOSITORY


def load_dotenv() -> None:
    """The user's .env, as the settings read it: what the environment has already wins."""
    if (REPOSITORY / ".env").is_file():
        environ.Env.read_env(REPOSITORY / ".env")


def secret_keys(path: Path) -> dict[str, str]:
    """DJANGO_SECRET_KEY and ENCRYPTION_KEY. The environment wins; what is made is kept in `path`."""
    kept = read_env(path) if path.exists() else {}
    made = {
        "DJANGO_SECRET_KEY": kept.get("DJANGO_SECRET_KEY") or secrets.token_urlsafe(50),
        "ENCRYPTION_KEY": kept.get("ENCRYPTION_KEY") or Fernet.generate_key().decode(),
    }
    if made != kept:
        write_env(path, made)
    return {name: os.environ.get(name) or value for name, value in made.items()}


def read_env(path: Path) -> dict[str, str]:
    """NAME=value lines, as `write_env` writes them."""
    lines = (line.strip() for line in path.read_text().splitlines())
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def write_env(path: Path, values: dict[str, str]) -> None:
    """Whole or not at all, never readable by others, on the disk before it returns."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(f"{name}={value}\n" for name, value in values.items())
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
