"""Rate limits of public pages: logins, registrations and requested mails per client address.

Wrong passwords for one name from one address are counted by django-axes (settings.AXES_*), which gets the
address from `caller`. Counts are kept in Valkey and expire with their window.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from ipaddress import ip_address, ip_network
from typing import Any

import django.db
import kombu.exceptions
import redis
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.users.passwords import Busy
from common import valkey
from common.client_address import client_address

MAILS_TO_ONE_ADDRESS, MAILS_BY_ONE_CALLER, MAILS_WITHIN_S = 5, 10, 3600
LOGINS_WITHIN_S = 900
REGISTRATIONS_WITHIN_S = 3600
RETRY_AFTER_BUSY_S = 5
TYPED_NAME = "facecloud.typed_name"  # a key of request.META that no client can send
IPV6_HOME = 64  # bits: one home or server usually has a whole /64

log = logging.getLogger(__name__)


def counted_name(request: HttpRequest | None, credentials: Mapping[str, Any] | None = None) -> str:
    """Return the name whose wrong passwords are counted.

    That is the name in the credentials, except for a login with an e-mail address (`count_as`).
    """
    typed = request.META.get(TYPED_NAME) if request is not None else None
    return str(typed or (credentials or {}).get("username") or "")[:255]


def count_as(request: HttpRequest, address: str) -> None:
    """Count a login with an e-mail address under this address, whether or not an account has it.

    If it were counted under the name of its account, the lock would reveal whose it is.
    """
    request.META[TYPED_NAME] = address.casefold()


@dataclass(frozen=True)
class Limit:
    """At most `count` requests within `within_s` seconds, from the first one on."""

    count: int
    within_s: int


def caller(request: HttpRequest) -> str | None:
    """Return the client's IP address, as seen through our proxies; for IPv6 its /64 network."""
    address = client_address(request.META)
    if address is None or ip_address(address).version == 4:
        return address
    return str(ip_network((address, IPV6_HOME), strict=False).network_address)


def within(limits: dict[str, Limit]) -> bool:
    """Count one more request under each key; return whether all of them are within their limits."""
    counting = valkey.client().pipeline()
    for key, limit in limits.items():
        counting.set(key, 0, ex=limit.within_s, nx=True)
        counting.incr(key)
    counts = counting.execute()[1::2]
    return all(count <= limit.count for count, limit in zip(counts, limits.values(), strict=True))


def may_mail(request: HttpRequest, address: str) -> bool:
    """Count one more mail to that address on behalf of that caller; return whether it may be sent."""
    return within(
        {
            f"mail-to:{address.casefold()}": Limit(MAILS_TO_ONE_ADDRESS, MAILS_WITHIN_S),
            f"mail-by:{caller(request)}": Limit(MAILS_BY_ONE_CALLER, MAILS_WITHIN_S),
        }
    )


def posts(name: str, limit: Callable[[], Limit]) -> Callable[..., Callable[..., HttpResponse]]:
    """Return a decorator that answers 429 to POST requests above the limit of a client address."""

    def guard(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)
        def guarded(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
            allowed = limit()
            if request.method == "POST" and not within({f"throttle:{name}:{caller(request)}": allowed}):
                return refusal(request, status=429, retry_after_s=allowed.within_s)
            return view(request, *args, **kwargs)

        return guarded

    return guard


def login_limit() -> Limit:
    """Return the limit of log-in attempts from one address, over all user names."""
    return Limit(settings.LOGINS_PER_ADDRESS, LOGINS_WITHIN_S)


def registration_limit() -> Limit:
    """Return the limit of registration forms from one address."""
    return Limit(settings.REGISTRATIONS_PER_ADDRESS, REGISTRATIONS_WITHIN_S)


def reset_limit() -> Limit:
    """Return the limit of requested reset links, and of passwords set through them, from one address."""
    return Limit(settings.LOGINS_PER_ADDRESS, LOGINS_WITHIN_S)


def refusal(request: HttpRequest, *, status: int, retry_after_s: int) -> HttpResponse:
    """Render the page that asks the user to try again later."""
    response = render(request, "accounts/busy.html", {"minutes": retry_after_s // 60}, status=status)
    response.headers["Retry-After"] = str(retry_after_s)
    return response


class BusyMiddleware:
    """Answers 503 if Valkey or the database refuses for now, or if too many passwords are being hashed.

    The database refuses if, for example, another session holds a lock for longer than DB_LOCK_TIMEOUT_S.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, Busy | redis.RedisError | kombu.exceptions.OperationalError):
            return refusal(request, status=503, retry_after_s=RETRY_AFTER_BUSY_S)
        if isinstance(exception, django.db.OperationalError):
            log.warning("the database refused: %s", type(exception.__cause__ or exception).__name__)
            # The page shows who is logged in. If the connection is lost, the page of errors follows.
            with suppress(django.db.Error):
                return refusal(request, status=503, retry_after_s=RETRY_AFTER_BUSY_S)
        return None
