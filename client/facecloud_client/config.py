"""Configuration: from the command line, the environment, or the env file that bin/start writes.

There is no flag for the SecretKey, because every user of a machine can read its command lines. It is never
printed.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from facecloud_client.errors import ConfigError
from facecloud_client.i18n import say
from facecloud_client.request.sources import is_url

NAMES = ("FACECLOUD_URL", "FACECLOUD_APP_KEY", "FACECLOUD_SECRET_KEY")
DEFAULT_FILE = Path("var/demo.env")


@dataclass(frozen=True)
class Config:
    """The URL without a trailing slash, the AppKey, the SecretKey, and the source of each value."""

    url: str
    app_key: str
    secret: str = field(repr=False)
    origin: Mapping[str, str] = field(default_factory=dict)


def read_env_file(path: Path) -> dict[str, str]:
    """Parse NAME=value lines; blank lines and # comments are skipped, quotes around values removed."""
    values: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            values[name.strip()] = re.sub(r"""^(['"])(.*)\1$""", r"\2", value.strip())
    return values


def _read_file(file: Path) -> dict[str, str]:
    try:
        return read_env_file(file)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(say(f"无法读取 {file}：{error}", f"{file} cannot be read: {error}")) from error


def load(
    url: str | None = None, app_key: str | None = None, environ: Mapping[str, str] = os.environ
) -> Config:
    """Take each value from the first source that has it. Raises ConfigError, which names what is missing."""
    file = Path(environ.get("FACECLOUD_ENV_FILE") or DEFAULT_FILE)
    sources: list[tuple[str, Mapping[str, str]]] = [
        ("--", {"FACECLOUD_URL": url or "", "FACECLOUD_APP_KEY": app_key or ""}),
        (say("环境变量", "environment"), environ),
    ]
    if file.is_file():
        sources.append((str(file), _read_file(file)))
    found: dict[str, str] = {}
    origin: dict[str, str] = {}
    for name in NAMES:
        for where, values in sources:
            if value := values.get(name, "").strip():
                found[name], origin[name] = value, where
                break
    missing = [name for name in NAMES if name not in found]
    if missing:
        names = say("、", ", ").join(missing)
        raise ConfigError(
            say(
                f"缺少 {names}。在控制台应用的“密钥”页查看 AppKey 与 SecretKey 并设为环境变量；"
                "本机体验先运行 bin/start。",
                f"Missing: {names}. Copy AppKey and SecretKey from the App's Keys page in the console and "
                "set them in the environment; to try it on this machine, run bin/start first.",
            )
        )
    if not is_url(found["FACECLOUD_URL"]):
        raise ConfigError(
            say(
                f"FACECLOUD_URL 应以 http:// 或 https:// 开头，现为 {found['FACECLOUD_URL']}",
                f"FACECLOUD_URL must start with http:// or https://, not {found['FACECLOUD_URL']}",
            )
        )
    return Config(
        found["FACECLOUD_URL"].rstrip("/"), found["FACECLOUD_APP_KEY"], found["FACECLOUD_SECRET_KEY"], origin
    )
