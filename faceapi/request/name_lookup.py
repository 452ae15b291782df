"""Look-ups of host names in picture URLs, each within a deadline (docs/decisions/0106-name-lookups.md).

The names come from customers, so only the DNS is used: the hosts file and the search domains of this machine
may name internal hosts.
"""

import logging
import time
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver
from django.conf import settings

Address = IPv4Address | IPv6Address

logger = logging.getLogger(__name__)

RESOLV_CONF = Path("/etc/resolv.conf")
TRY_S = 2.0  # for each attempt at a name server
LONGEST_S = 5.0  # for all attempts
SECOND_S = 1.0  # for the AAAA records when there are A records
MAX_ADDRESSES = 64
KEPT_NAMES = 2000  # whose records are reused until they expire


class NotFoundError(Exception):
    """The name has no address."""


class TooLateError(Exception):
    """The name servers did not answer in time."""


class UnavailableError(Exception):
    """This installation cannot look up names: it has no name server, or cannot reach one."""


def addresses_of(host: str, deadline: float) -> list[Address]:
    """Return the addresses of a host name, or `host` itself if it is one. `deadline` is in monotonic seconds.

    Raises NotFoundError, TooLateError and UnavailableError.
    """
    try:
        return [ip_address(host)]
    except ValueError:
        pass
    if host.lower().rstrip(".").rpartition(".")[2] == "localhost":  # RFC 6761: never sent to a name server
        raise NotFoundError
    try:
        name = dns.name.from_text(host.encode("idna").decode())
    except (UnicodeError, dns.exception.DNSException):
        raise NotFoundError from None
    try:
        resolver = _resolver(tuple(settings.URL_NAME_SERVERS), _version_of_resolv_conf())
    except (UnicodeError, ValueError, dns.exception.DNSException, OSError) as error:
        logger.error("host names cannot be looked up: %s", type(error).__name__)
        raise UnavailableError from None
    found = _records(resolver, name, dns.rdatatype.A, min(deadline, time.monotonic() + LONGEST_S))
    last = SECOND_S if found else LONGEST_S
    try:
        found += _records(resolver, name, dns.rdatatype.AAAA, min(deadline, time.monotonic() + last))
    except (NotFoundError, TooLateError, UnavailableError):
        if not found:  # some servers deny the existence of a name that has A records only
            raise
    if not found or len(found) > MAX_ADDRESSES:
        raise NotFoundError
    return found


def _records(
    resolver: dns.resolver.Resolver, name: dns.name.Name, kind: dns.rdatatype.RdataType, deadline: float
) -> list[Address]:
    """Return the addresses in records of one kind; an empty list if there are none."""
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TooLateError
    try:
        answer = resolver.resolve(name, kind, lifetime=left_s, search=False, raise_on_no_answer=False)
    except dns.resolver.NXDOMAIN:
        raise NotFoundError from None
    except dns.resolver.LifetimeTimeout:
        raise TooLateError from None
    except dns.resolver.NoNameservers as failed:
        tried = failed.kwargs.get("errors") or []
        if tried and all(isinstance(error, OSError) for _server, _tcp, _port, error, _response in tried):
            logger.error("no name server can be reached: %s", type(tried[-1][3]).__name__)
            raise UnavailableError from None
        return []
    except (dns.exception.DNSException, OSError):  # refused, or malformed answers only
        return []
    return [ip_address(record.address) for record in answer.rrset or ()]


def _version_of_resolv_conf() -> int:
    """Return a value that changes with the file, which a laptop rewrites in each network."""
    try:
        return RESOLV_CONF.stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=2)
def _resolver(servers: tuple[str, ...], _version: int) -> dns.resolver.Resolver:
    """Return a resolver for `servers` (address, or address#port), by default those of resolv.conf."""
    made = dns.resolver.Resolver(str(RESOLV_CONF), configure=not servers)
    if servers:
        made.nameservers = [server.partition("#")[0] for server in servers]
        made.nameserver_ports = {
            address: int(port) for address, _, port in (server.partition("#") for server in servers) if port
        }
    made.timeout = TRY_S
    made.cache = dns.resolver.LRUCache(KEPT_NAMES)
    return made
