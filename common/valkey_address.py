"""Strict parser of REDIS_URL, whose parts are returned in the form that redis-py or kombu expects.

    redis://[user:password@]host[:port][/db]      rediss:// with TLS and certificate verification
    unix://[user:password@]/path[?db=1]
    sentinel://[user:password@]host1[:port],host2[:port][/db]?service=NAME      sentinels:// with TLS to all

With TLS: ?ssl_ca_certs=FILE&ssl_certfile=FILE&ssl_keyfile=FILE&ssl_cert_reqs=required|optional|none, and for
Sentinel sentinel_username and sentinel_password.
"""

import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError
from redis.retry import Retry

SCHEMES = ("redis", "rediss", "unix", "sentinel", "sentinels")
TLS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs")
SENTINEL = ("service", "sentinel_username", "sentinel_password")
REQUIREMENTS = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
DEFAULT_PORT, DEFAULT_SENTINEL_PORT = 6379, 26379
SENTINEL_TIMEOUT_S = 1.0  # to connect to a Sentinel, and for its reply
# A lost connection is reopened once. A timeout is not retried: a call would wait for a multiple of the limit.
RETRY = Retry(NoBackoff(), 1, supported_errors=(ConnectionError,))


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a Valkey server, with credentials and options."""

    scheme: str
    hosts: list[tuple[str, int]] = field(default_factory=list)
    path: str = ""
    db: int = 0
    username: str | None = None
    password: str | None = None
    options: dict[str, str] = field(default_factory=dict)

    @property
    def is_sentinel(self) -> bool:
        return self.scheme.startswith("sentinel")

    @property
    def has_tls(self) -> bool:
        return self.scheme in ("rediss", "sentinels")

    @property
    def service(self) -> str:
        """The name of the monitored master."""
        return self.options["service"]

    def tls(self) -> dict[str, Any]:
        """Return the arguments of redis-py's SSLConnection; the certificate is verified by default."""
        if not self.has_tls:
            return {}
        given = {name: value for name, value in self.options.items() if name in TLS}
        requirement = REQUIREMENTS[given.pop("ssl_cert_reqs", "required")]
        return {**given, "ssl_cert_reqs": requirement, "ssl_check_hostname": requirement != ssl.CERT_NONE}

    def login(self) -> dict[str, Any]:
        return {"username": self.username, "password": self.password, "db": self.db}

    def sentinel_options(self) -> dict[str, Any]:
        """Return the arguments of redis-py's clients of the Sentinels.

        They are asked one after the other, so one that does not answer must not take long. By default,
        redis-py tries each eleven times.
        """
        return {
            "username": self.options.get("sentinel_username"),
            "password": self.options.get("sentinel_password"),
            "socket_timeout": SENTINEL_TIMEOUT_S,
            "socket_connect_timeout": SENTINEL_TIMEOUT_S,
            "retry": RETRY,
            **({"ssl": True, **self.tls()} if self.has_tls else {}),
        }

    def broker_url(self) -> str:
        """Return the URL in kombu's syntax, for Celery's broker."""
        login = ""
        if self.password is not None:
            login = f"{quote(self.username or '', safe='')}:{quote(self.password, safe='')}@"
        if self.scheme == "unix":
            database = f"?virtual_host={self.db}" if self.db else ""
            return f"redis+socket://{login}{quote(self.path)}{database}"
        scheme = "sentinel" if self.is_sentinel else "redis"
        return ";".join(f"{scheme}://{login}{_bracketed(host)}:{port}/{self.db}" for host, port in self.hosts)


def parse(url: str) -> Address:
    """Parse REDIS_URL. Raises ValueError with a message that contains no password."""
    parts = urlsplit(url)
    scheme = parts.scheme
    if "cluster" in scheme:
        raise ValueError("a Valkey cluster is not supported: use one primary, or sentinel:// for failover")
    if scheme not in SCHEMES:
        raise ValueError(f"should begin with {'://, '.join(SCHEMES)}://")
    options = _options(parts.query)
    db = _database(options.pop("db", ""), parts.path if scheme != "unix" else "")
    login, _, where = parts.netloc.rpartition("@")
    username, colon, password = login.partition(":")
    if login and not colon:
        username, password = "", login
    access = (unquote(username) or None, unquote(password) if login else None)
    if scheme == "unix":
        if not parts.path or where:
            raise ValueError("should be unix:///path/of/the/socket")
        return Address(scheme, [], unquote(parts.path), db, *access, options)
    default = DEFAULT_SENTINEL_PORT if scheme.startswith("sentinel") else DEFAULT_PORT
    hosts = [_host(text, default) for text in where.split(",")]
    address = Address(scheme, hosts, "", db, *access, options)
    if len(hosts) > 1 and not address.is_sentinel:
        raise ValueError("names several hosts: a cluster is not supported, and Sentinel needs sentinel://")
    if address.is_sentinel and not options.get("service"):
        raise ValueError("needs ?service=NAME, the master's name in Sentinel's configuration")
    _check(address)
    return address


def _check(address: Address) -> None:
    known = (*(TLS if address.has_tls else ()), *(SENTINEL if address.is_sentinel else ()))
    if unknown := sorted(set(address.options) - set(known)):
        raise ValueError(f"has unknown options: {', '.join(unknown)}")
    if address.options.get("ssl_cert_reqs", "required") not in REQUIREMENTS:
        raise ValueError(f"ssl_cert_reqs should be {' or '.join(REQUIREMENTS)}")


def _options(query: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}


def _database(option: str, path: str) -> int:
    text = option or path.strip("/")
    if text and not text.isdigit():
        raise ValueError("the database after the host should be a number")
    return int(text or 0)


def _host(text: str, default_port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port or default_port
    except ValueError:
        host, port = None, 0
    if not host:
        raise ValueError("should name a host, and a port that is a number")
    return host, port


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
