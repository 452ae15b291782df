"""The limits of an App that operators set: requests a second, requests at once, callers' addresses."""

from collections.abc import Iterable
from ipaddress import ip_network

from accounts.errors import RuleError
from accounts.models import App

MAX_ADDRESSES = 100


def check_addresses(texts: Iterable[str]) -> list[str]:
    """The networks in CIDR form, a single address as /32 or /128, each once. RuleError `address_invalid`."""
    networks: dict[str, None] = {}
    for text in texts:
        try:
            if "%" in text:
                raise ValueError("an IPv6 zone is a name of the caller's machine, not of ours")
            networks[str(ip_network(text.strip(), strict=False))] = None
        except ValueError as error:
            raise RuleError("address_invalid", text=text) from error
    if len(networks) > MAX_ADDRESSES:
        raise RuleError("addresses_too_many", limit=MAX_ADDRESSES)
    return list(networks)


def set_limits(
    app: App, *, rate_per_s: int | None, concurrency: int | None, allowed_addresses: Iterable[str]
) -> None:
    """None: the installation's limit holds; no addresses: any may call. RuleError `limit_not_positive`."""
    for limit in (rate_per_s, concurrency):
        if limit is not None and limit < 1:
            raise RuleError("limit_not_positive")
    app.allowed_addresses = check_addresses(allowed_addresses)
    app.rate_per_s, app.concurrency = rate_per_s, concurrency
    app.save(update_fields=["rate_per_s", "concurrency", "allowed_addresses"])
