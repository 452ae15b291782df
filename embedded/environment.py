"""Environment variables in files: the user's .env, and the secrets that are generated on the first start."""

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

import environ
from cryptography.fernet import Fernet

from embedded.paths import REPOSITORY

KEYS: Mapping[str, Callable[[], str]] = {
    "DJANGO_SECRET_KEY": lambda: secrets.token_urlsafe(50),
    "ENCRYPTION_KEY": lambda: Fernet.generate_key().decode(),
    "METRICS_TOKEN": lambda: secrets.token_urlsafe(24),
}
DEMO_PASSWORDS: Mapping[str, Callable[[], str]] = {
    "FACECLOUD_PASSWORD": lambda: secrets.token_urlsafe(12),
    "FACECLOUD_OPERATOR_PASSWORD": lambda: secrets.token_urlsafe(12),
}


def load_dotenv() -> None:
    """Load the user's .env as the settings do: variables that are already set take precedence."""
    if (REPOSITORY / ".env").is_file():
        environ.Env.read_env(REPOSITORY / ".env")


def secret_values(path: Path, makers: Mapping[str, Callable[[], str]]) -> dict[str, str]:
    """Return each secret: from the environment, else from `path`, else a new one, saved in `path`."""
    kept = read_env(path)
    made = {name: make() for name, make in makers.items() if name not in kept}
    if made:
        write_env(path, kept | made)
    return {name: os.environ.get(name) or (kept | made)[name] for name in makers}


def read_env(path: Path) -> dict[str, str]:
    """Read the NAME=value lines of `write_env`; return an empty dict if the file does not exist."""
    if not path.exists():
        return {}
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def write_env(path: Path, values: Mapping[str, str], note: str = "") -> None:
    """Write the file atomically with mode 0600 and fsync it. `note` (lines that begin with #) comes first."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(note)
        file.writelines(f"{name}={value}\n" for name, value in values.items())
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
