"""Under overload, calls of a customer who has his share already are refused before Django sees them.

A refusal through the views costs a query and 2 ms of CPU: at ten times the capacity, nothing would be left
for the calls that are served. Here it costs the parsing of the request, a look-up in memory, and for a small
body its signature, so that the App's report still counts the refusal (faceapi/usage/unattributed.py).

Nothing is ever admitted here. What this process has not seen verified in the last REMEMBER_S, and whatever
is not plain, goes to the views. The addresses that the App allows are judged as there. The replay guard is
not used, which would cost a round trip: this process counts each signature once for its App.
"""

import contextlib
import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import redis
from django.conf import settings

from accounts import keys
from accounts.models import AppKey
from common import valkey, watchdog
from common.client_address import client_address
from common.logs import request_id_in_logs
from common.postgresql.clock import now
from faceapi import calls
from faceapi.authentication import caller, signing
from faceapi.error_replies import ErrorReply, error_reply
from faceapi.errors import ApiError
from faceapi.limits import admission, unverified

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

LARGE_BODY_BYTES = 256 * 1024  # smaller ones are read and verified before they are refused
READ_S = 1.0
PIECE_BYTES = 16 * 1024
REMEMBER_S = 60.0
MAX_REMEMBERED = 10_000
MAX_SEEN = 100_000


@dataclass(frozen=True, slots=True)
class Known:
    """An AppKey that signed a call of late. Good for refusing only: it may be disabled by now."""

    key: AppKey
    secret: str
    until: float


_known: dict[str, Known] = {}


class Seen:
    """The signatures of shed calls, as long as their timestamps are good. Thread-safe."""

    def __init__(self) -> None:
        self._until: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def is_new(self, signature: str, now: float) -> bool:
        """Return whether the signature was not seen before, and remember it."""
        with self._lock:
            while self._until and (len(self._until) >= MAX_SEEN or next(iter(self._until.values())) < now):
                self._until.popitem(last=False)
            if signature in self._until:
                return False
            self._until[signature] = now + 2 * settings.CLOCK_SKEW_S
            return True


_seen = Seen()


def remember(key: AppKey) -> None:
    """Remember that a call was verified with this key."""
    now = time.monotonic()
    known = _known.get(key.key)
    if known is not None and known.until - now > REMEMBER_S / 2:
        return
    if len(_known) >= MAX_REMEMBERED:
        _known.clear()
    _known[key.key] = Known(key, keys.secret_of(key), now + REMEMBER_S)


class Shedding:
    """WSGI middleware around the whole site. `apis` are the addresses of calls, each with its API."""

    def __init__(self, application: Application, apis: Mapping[str, str]) -> None:
        self._application = application
        self._apis = apis

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        api = self._apis.get(environ.get("PATH_INFO", ""))
        if api is not None and admission.process_limiter().is_overloaded():
            refusal = _refuse(environ, api)
            if refusal is not None:
                start_response(refusal.status_line, list(refusal.headers))
                return [refusal.content]
        return self._application(environ, start_response)


def _refuse(environ: dict[str, Any], api: str) -> ErrorReply | None:
    """Return the reply to a call that the limiter would reject; None to pass it to the views."""
    authorization = signing.parse_authorization(environ.get("HTTP_AUTHORIZATION", ""))
    if authorization is None or environ.get("REQUEST_METHOD") != "POST":
        return None
    known = _known.get(authorization.app_key)
    if known is None or known.until < time.monotonic():
        return None
    try:
        admission.process_limiter().check(known.key.app.customer_id)
        return None
    except ApiError as refusal:
        error = refusal
    at = now()
    call = calls.CallContext(calls.new_id(at), api, at, client_address(environ))
    call.key = known.key
    try:
        caller.check_address(known.key.app.allowed_addresses, call.address)
        _verify(environ, call, known.secret, authorization.signature.lower())
    except ApiError as forbidden:
        error = forbidden
    request_id = str(call.id)
    with request_id_in_logs(request_id):
        calls.fail(call, error, at)
    return error_reply(error, request_id)


def _verify(environ: dict[str, Any], call: calls.CallContext, secret: str, given: str) -> None:
    """Mark the call as authentic if its body is small, complete and rightly signed, for the first time.

    What was read of any other body counts for the address of its sender. Raises ApiError 4291 for one that is
    over its allowance, whose bodies are not read.
    """
    length, timestamp = environ.get("CONTENT_LENGTH") or "", environ.get("HTTP_X_CTYUN_DT", "").strip()
    timestamp_ms = signing.parse_timestamp(timestamp)
    if not (length.isascii() and length.isdigit()) or int(length) > LARGE_BODY_BYTES or timestamp_ms is None:
        return
    if abs(timestamp_ms - call.at.timestamp() * 1000) > settings.CLOCK_SKEW_S * 1000:
        return
    client = valkey.client()
    with contextlib.suppress(redis.RedisError):
        unverified.check(client, call.address, is_large=False)
    body = _read(environ, int(length))
    call.body_bytes = len(body)
    is_signed = False
    if len(body) == int(length):
        path, query = signing.split_target(caller.target_as_received(environ))
        sha1 = hashlib.sha1(body, usedforsecurity=False).hexdigest()
        is_signed = signing.matches(secret, signing.canonical("POST", path, query, timestamp, sha1), given)
    if not is_signed and body:
        with contextlib.suppress(redis.RedisError):
            unverified.add(client, call.address, len(body))
    call.is_authentic = is_signed and _seen.is_new(given, time.monotonic())


def _read(environ: dict[str, Any], length: int) -> bytes:
    """Return the body, or as much of it as arrives within READ_S."""
    sock = environ.get("gunicorn.socket")
    body = bytearray()
    with contextlib.ExitStack() as stack:
        if sock is not None:
            sock.settimeout(READ_S)
            stack.enter_context(watchdog.guard(sock, time.monotonic() + READ_S))
        with contextlib.suppress(OSError):
            while len(body) < length:
                piece = environ["wsgi.input"].read(min(PIECE_BYTES, length - len(body)))
                if not piece:
                    break
                body += piece
    return bytes(body)
