"""Random secrets of the embedded default, made once and kept where only their owner reads them."""

import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet


def load_or_make(path: Path) -> dict[str, str]:
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
