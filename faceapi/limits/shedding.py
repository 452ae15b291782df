"""Load shedding: under overload, refuse calls above a customer's share before Django handles them.

A refusal through the views costs a query and 2 ms of CPU: at ten times the capacity, nothing would be left
for the calls that are served. Here it costs the parsing of the request, a look-up in memory, and for a small
body its signature, so that the App's report still counts the refusal (faceapi/usage/unattributed.py).

The event loop of the web worker sheds simple requests without a thread (facecloud/web/worker.py); the WSGI
middleware here sheds the rest.

No call is admitted here. Calls whose AppKey was not verified by this process in the last REMEMBER_S, and all
unusual requests, go to the views. The App's allow-list of addresses applies as it does there. The replay
guard, which costs a round trip, is not used; this process counts each signature once for its App.
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
from faceapi import calls, errors
from faceapi.authentication import caller, signing
from faceapi.calls import CallContext
from faceapi.errors import ApiError
from faceapi.errors.replies import ErrorReply, error_reply
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
    """An AppKey that signed a call recently. Used for refusals only: it may be disabled by now."""

    key: AppKey
    secret: str
    until: float


_known: dict[str, Known] = {}


class Seen:
    """The signatures of shed calls, kept while their timestamps are valid. Thread-safe."""

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


class Refusal:
    """A call that the process limiter rejects. Its body is hashed as it arrives, and not stored.

    `wanted_bytes` is the number of bytes to read, to verify the signature and count the call for its App; 0
    if the body is not read. `left_bytes` is the number that has not arrived yet.
    """

    READ_S = READ_S

    def __init__(self, environ: dict[str, Any], call: CallContext, known: Known, error: ApiError) -> None:
        self._environ = environ
        self._call = call
        self._secret = known.secret
        self._error = error
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        authorization = signing.parse_authorization(environ["HTTP_AUTHORIZATION"])
        self._given = authorization.signature.lower() if authorization else ""
        self._timestamp = environ.get("HTTP_X_CTYUN_DT", "").strip()
        text = environ.get("CONTENT_LENGTH") or ""
        self._length = int(text) if text.isascii() and text.isdigit() else None
        self.wanted_bytes = self.left_bytes = self._length or 0
        try:
            caller.check_address(known.key.app.allowed_addresses, call.address)
        except ApiError as forbidden:
            self._error = forbidden
            self.wanted_bytes = 0
        if not self._may_be_authentic():
            self.wanted_bytes = 0

    def is_over_allowance(self) -> bool:
        """Return whether this process has seen that the client's address is over its allowance."""
        return unverified.is_refused_here(self._call.address)

    def check_allowance(self) -> None:
        """Raise ApiError 4291 if the client's address is over its allowance of unsigned bytes."""
        unverified.check(valkey.client(), self._call.address, is_large=False)

    def _may_be_authentic(self) -> bool:
        timestamp_ms = signing.parse_timestamp(self._timestamp)
        if self._length is None or self._length > LARGE_BODY_BYTES or timestamp_ms is None:
            return False
        return abs(timestamp_ms - self._call.at.timestamp() * 1000) <= settings.CLOCK_SKEW_S * 1000

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the body."""
        self.left_bytes -= len(piece)
        if self.wanted_bytes:
            self._sha1.update(piece)
            self._call.body_bytes += len(piece)

    def is_signed(self) -> bool:
        """Return whether the body has arrived and its signature is right."""
        if self._error.code == errors.ADDRESS or self.left_bytes or not self._may_be_authentic():
            return False
        path, query = signing.split_target(caller.target_as_received(self._environ))
        sha1 = self._sha1.hexdigest()
        return signing.matches(
            self._secret, signing.canonical("POST", path, query, self._timestamp, sha1), self._given
        )

    def forbid(self, error: ApiError) -> None:
        """End the call with another error, without reading its body."""
        self._error = error
        self.wanted_bytes = 0

    @property
    def has_read(self) -> bool:
        """Return whether any of the body was read."""
        return self._call.body_bytes > 0

    def answer(self, *, is_signed: bool) -> ErrorReply:
        """Count the call and return the answer.

        The bytes of an unsigned body count for the client's address, which needs a round trip to Valkey.
        """
        call = self._call
        call.is_authentic = is_signed and _seen.is_new(self._given, time.monotonic())
        if self.has_read and not is_signed:
            with contextlib.suppress(redis.RedisError):
                unverified.add(valkey.client(), call.address, call.body_bytes)
        request_id = str(call.id)
        with request_id_in_logs(request_id):
            calls.fail(call, self._error, now())
        return error_reply(self._error, request_id)


def begin(environ: dict[str, Any], api: str) -> Refusal | None:
    """Return the refusal of a call that the limiter would reject; None to pass it to the views."""
    authorization = signing.parse_authorization(environ.get("HTTP_AUTHORIZATION", ""))
    if authorization is None or environ.get("REQUEST_METHOD") != "POST":
        return None
    known = _known.get(authorization.app_key)
    if known is None or known.until < time.monotonic():
        return None
    try:
        admission.process_limiter().check(known.key.app.customer_id)
        return None
    except ApiError as error:
        at = now()
        call = CallContext(calls.new_id(at), api, at, client_address(environ))
        call.key = known.key
        return Refusal(environ, call, known, error)


class Shedding:
    """WSGI middleware around the whole site. `apis` maps the path of each call to its API."""

    def __init__(self, application: Application, apis: Mapping[str, str]) -> None:
        self._application = application
        self._apis = apis

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        refusal = self.begin(environ)
        if refusal is None:
            return self._application(environ, start_response)
        try:
            with contextlib.suppress(redis.RedisError):
                refusal.check_allowance()
            if refusal.wanted_bytes:
                _read(environ, refusal)
        except ApiError as over:
            refusal.forbid(over)
        answer = refusal.answer(is_signed=refusal.is_signed())
        start_response(answer.status_line, list(answer.headers))
        return [answer.content]

    def is_needed(self) -> bool:
        """Return whether this process is overloaded."""
        return admission.process_limiter().is_overloaded()

    def begin(self, environ: dict[str, Any]) -> Refusal | None:
        """Return the refusal of a call that must be shed; None for any other request."""
        api = self._apis.get(environ.get("PATH_INFO", ""))
        return begin(environ, api) if api is not None and self.is_needed() else None


def _read(environ: dict[str, Any], refusal: Refusal) -> None:
    """Feed the body to `refusal`, or as much of it as arrives within READ_S."""
    sock = environ.get("gunicorn.socket")
    with contextlib.ExitStack() as stack:
        if sock is not None:
            sock.settimeout(READ_S)
            stack.enter_context(watchdog.guard(sock, time.monotonic() + READ_S))
        with contextlib.suppress(OSError):
            while refusal.left_bytes:
                piece = environ["wsgi.input"].read(min(PIECE_BYTES, refusal.left_bytes))
                if not piece:
                    return
                refusal.feed(piece)
