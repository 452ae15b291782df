"""The limits of an App: requests per second, concurrent requests, client addresses and stored faces.

Operators set all of them; the customer may also set the addresses.
"""

from collections.abc import Collection, Iterable
from ipaddress import ip_network

from accounts.errors import RuleError
from accounts.models import App

MAX_ADDRESSES = 100
LIMITS = ("rate_per_s", "concurrency", "allowed_addresses", "face_limit")


def check_addresses(texts: Iterable[str]) -> list[str]:
    """Return the networks in CIDR notation, without duplicates; a single address becomes /32 or /128.

    Raises RuleError `address_invalid`, or `addresses_too_many` for more than MAX_ADDRESSES.
    """
    networks: dict[str, None] = {}
    for text in texts:
        try:
            if "%" in text:
                raise ValueError("an IPv6 zone is meaningful only on the client's machine")
            networks[str(ip_network(text.strip(), strict=False))] = None
        except ValueError as error:
            raise RuleError("address_invalid", text=text) from error
    if len(networks) > MAX_ADDRESSES:
        raise RuleError("addresses_too_many", limit=MAX_ADDRESSES)
    return list(networks)


def set_limits(
    app: App,
    *,
    rate_per_s: int | None,
    concurrency: int | None,
    allowed_addresses: Iterable[str],
    face_limit: int | None = None,
    only: Collection[str] = LIMITS,
) -> None:
    """Set the limits of an App. Raises RuleError `limit_not_positive` and those of `check_addresses`.

    Only the limits named in `only` are written, because another one may have changed since the caller read
    it. None means the installation's default limit; without addresses, calls are accepted from any address.
    """
    for limit in (rate_per_s, concurrency, face_limit):
        if limit is not None and limit < 1:
            raise RuleError("limit_not_positive")
    app.allowed_addresses = check_addresses(allowed_addresses)
    app.rate_per_s, app.concurrency, app.face_limit = rate_per_s, concurrency, face_limit
    app.save(update_fields=list(only))
    app.refresh_from_db(fields=LIMITS)


def allow_only(app: App, addresses: Iterable[str]) -> None:
    """Set the allowed client addresses; without any, all are allowed. Raises as `check_addresses`."""
    app.allowed_addresses = check_addresses(addresses)
    app.save(update_fields=["allowed_addresses"])
