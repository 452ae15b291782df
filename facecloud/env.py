"""Strict parsing of environment variables: an invalid value is rejected with the variable's name."""

import logging
import os
import re
import warnings
from collections.abc import Collection
from decimal import Decimal, InvalidOperation
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from common import valkey_address
from common.celery import queues

FALSE = ("", "0", "false", "no", "n", "off")
DOTENV = Path(__file__).resolve().parent.parent / ".env"
POSTGRESQL = "django.db.backends.postgresql"
FOLDER_BACKEND = "common.mail_backends.FolderBackend"
LOG_BACKEND = "common.mail_backends.LogBackend"
SMTP_BACKEND = "common.mail_backends.SmtpBackend"


class Env(environ.Env):
    """An environ.Env with strict booleans, for PostgreSQL only. Raises ImproperlyConfigured."""

    def get_value(self, var: str, *arguments: Any, **options: Any) -> Any:
        try:
            return super().get_value(var, *arguments, **options)
        except ValueError as error:
            raise ImproperlyConfigured(f"{var}: {error}") from error

    @classmethod
    def parse_value(cls, value: str, cast: Any) -> Any:
        if cast is bool and value.strip().lower() not in (*cls.BOOLEAN_TRUE_STRINGS, "1", *FALSE):
            raise ValueError(f"{value!r} is neither True nor False")
        return super().parse_value(value, cast)

    def db_url(self, var: str, *arguments: Any, **options: Any) -> dict[str, Any]:
        with warnings.catch_warnings(action="ignore"):  # its warnings become errors here
            database: dict[str, Any] = super().db_url(var, *arguments, **options)
        if database.get("ENGINE") != POSTGRESQL:
            raise ImproperlyConfigured(f"{var} should be postgres://user:password@host:port/name")
        return database

    def email_url(self, var: str, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Return the EMAIL_* settings.

        If the variable is empty or starts with `filemail:`, mails are written to a folder, which the caller
        sets.
        """
        if not self.str(var, default=""):
            return {"EMAIL_BACKEND": FOLDER_BACKEND}
        if self.str(var).startswith("filemail:"):
            return {"EMAIL_BACKEND": FOLDER_BACKEND}
        try:
            config = dict(super().email_url(var, *arguments, **options))
        except ImproperlyConfigured as error:
            raise ImproperlyConfigured(f"{var} should be smtp://user:password@host:port") from error
        replaced = {
            self.EMAIL_SCHEMES["consolemail"]: LOG_BACKEND,
            self.EMAIL_SCHEMES["filemail"]: FOLDER_BACKEND,
            self.EMAIL_SCHEMES["smtp"]: SMTP_BACKEND,
        }
        return config | {"EMAIL_BACKEND": replaced.get(config["EMAIL_BACKEND"], config["EMAIL_BACKEND"])}

    def valkey_url(self, var: str, default: str) -> str:
        """Return a URL that common/valkey_address.py can parse."""
        url = str(self.str(var, default=default))
        try:
            valkey_address.parse(url)
        except ValueError as error:
            raise ImproperlyConfigured(f"{var} {error}") from None
        return url

    def hosts(self, var: str, default: list[str]) -> list[str]:
        """Return host names. `*` is rejected: the Host header of a request could then be anything."""
        names = [name.strip() for name in self.list(var, default=default)]
        if "*" in names:
            raise ImproperlyConfigured(f"{var} should list the host names of the site; * is not allowed")
        return names

    def origin(self, var: str, default: str = "") -> str:
        """Return a scheme and host, such as https://face.example.com, or an empty string."""
        value = str(self.str(var, default=default)).rstrip("/")
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or value != f"{parts.scheme}://{parts.netloc}"):
            raise ImproperlyConfigured(f"{var} should be like https://face.example.com, without a path")
        return value

    def name_servers(self, var: str) -> list[str]:
        """Return addresses of name servers, each with an optional `#` and port."""
        servers = [server.strip() for server in self.list(var, default=[])]
        for server in servers:
            address, separator, port = server.partition("#")
            try:
                ip_address(address)
                if separator and not 0 < int(port) < 65536:
                    raise ValueError
            except ValueError:
                raise ImproperlyConfigured(
                    f"{var} should list addresses such as 9.9.9.9 or 127.0.0.1#5353, not {server!r}"
                ) from None
        return servers

    def inference_queues(self, var: str, default: list[str]) -> list[str]:
        """Return the names of inference queues, at least one."""
        names = [name.strip() for name in self.list(var, default=default)] or default
        for name in names:
            if not re.fullmatch(queues.INFERENCE_PATTERN, name):
                raise ImproperlyConfigured(
                    f"{var} should list inference, or queues such as inference.cn-sh6, not {name!r}"
                )
        return names

    def count(self, var: str, default: int) -> int:
        """Return an integer of at least 1."""
        number = int(self.int(var, default=default))
        if number < 1:
            raise ImproperlyConfigured(f"{var} should be at least 1")
        return number

    def months(self, var: str, default: int) -> int:
        """Return a number of months; 0 means for ever."""
        number = int(self.int(var, default=default))
        if number < 0:
            raise ImproperlyConfigured(f"{var} should be a number of months, or 0 for ever")
        return number

    def money(self, var: str, default: str) -> Decimal:
        """Return an amount in yuan, zero or more."""
        try:
            amount = Decimal(self.str(var, default=default))
        except InvalidOperation as error:
            raise ImproperlyConfigured(f"{var} should be an amount in yuan") from error
        if not amount.is_finite() or amount < 0:
            raise ImproperlyConfigured(f"{var} should be an amount in yuan")
        return amount

    def choice(self, var: str, default: str, choices: Collection[str]) -> str:
        """Return one of `choices`."""
        value = str(self.str(var, default=default))
        if value not in choices:
            raise ImproperlyConfigured(f"{var} should be {' or '.join(choices)}")
        return value

    def folder(self, var: str, default: str) -> Path:
        """Return the path of an existing, writable folder."""
        path = Path(self.str(var, default=default))
        if not path.is_dir() or not os.access(path, os.W_OK):
            raise ImproperlyConfigured(f"{var}: {path} is not a writable folder")
        return path

    def fernet_keys(self, var: str) -> list[str]:
        """Return comma-separated Fernet keys, validated before anything is encrypted with them."""
        from cryptography.fernet import Fernet  # not installed in the worker's image, which has no keys

        keys = [str(key).strip() for key in self.list(var)]
        try:
            if not [Fernet(key) for key in keys]:
                raise ValueError
        except ValueError:  # the message must not contain the value
            raise ImproperlyConfigured(
                f"{var}: a key is 32 random bytes in URL-safe base64: openssl rand -base64 32 | tr '+/' '-_'"
            ) from None
        return keys

    def log_level(self, var: str, default: str) -> str:
        """Return the name of a log level; the case is ignored."""
        level = str(self.str(var, default=default)).upper()
        if level not in logging.getLevelNamesMapping():
            raise ImproperlyConfigured(f"{var} should be DEBUG, INFO, WARNING or ERROR")
        return level

    def networks(self, var: str) -> list[str]:
        """Return comma-separated addresses and networks (CIDR); none by default."""
        try:
            return [str(ip_network(text.strip(), strict=False)) for text in self.list(var, default=[])]
        except ValueError as error:
            raise ImproperlyConfigured(f"{var}: {error}") from error


def read_dotenv() -> None:
    """Add the variables of .env to the environment; those that are already set take precedence."""
    if DOTENV.is_file():
        environ.Env.read_env(DOTENV)
