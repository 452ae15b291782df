"""Fetch images by URL before units are reserved, from public servers only.

The host is resolved once, each of its addresses is checked, and the connection goes to a checked address, so
DNS cannot change in between. Each redirect (at most three) is checked the same way. One deadline covers the
whole fetch; a watchdog ends the read from a server that sends a byte now and then. A call fetches a few URLs
at once, on a thread pool that customers share. The number of calls of one customer that wait for URLs is
limited, so that slow servers of one customer do not delay others.
"""

import contextlib
import http.client
import socket
import ssl
import threading
import time
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache, partial
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from django.conf import settings

from common import watchdog
from faceapi import errors
from faceapi.errors import ApiError
from faceapi.request import base64_text
from faceapi.request.addresses import late, resolve
from inference.images.headers import MAX_BYTES

MAX_URL_LENGTH = 8192
MAX_REDIRECTS = 3
MAX_INTERIM = 5  # interim responses before the final one
AT_ONCE = 6  # URLs of one call
PHASE_TIMEOUTS = 3  # limit for all URLs of a call together, in units of settings.URL_TIMEOUT_S
PIECE_BYTES = 64 * 1024
USER_AGENT = "facecloud-fetch/1"


def check_url(url: str, index: int) -> None:
    """Raise ApiError 4011 with `index` unless `url` is an http(s) URL that may be fetched."""
    try:
        _parts(url)
    except ApiError as error:
        error.index = index
        raise


def _parts(url: str) -> SplitResult:
    if not url[:8].lower().startswith(("http://", "https://")):
        raise ApiError(errors.URL_WRONG, base64_text.without_prefix(url))
    if len(url) > MAX_URL_LENGTH:
        raise ApiError(errors.URL_WRONG, f"a URL of {len(url)} characters, the limit is {MAX_URL_LENGTH}")
    for ch in url:
        if ch <= " " or ch == "\x7f" or "\ud800" <= ch <= "\udfff":
            raise ApiError(errors.URL_WRONG, f"a URL that contains {ch!a}, which must be percent-encoded")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
        if ":" not in host:
            host.encode("idna")
    except ValueError:
        raise ApiError(errors.URL_WRONG, "a URL whose host or port is malformed") from None
    if not host:
        raise ApiError(errors.URL_WRONG, "a URL without a host")
    if parts.username is not None or parts.password is not None:
        raise ApiError(errors.URL_WRONG, "a URL with a user name or a password")
    if port is not None and port < 1024 and port not in (80, 443):
        raise ApiError(errors.URL_WRONG, f"a URL with port {port}: 80, 443 and 1024-65535 are allowed")
    return parts


# --- one URL ---------------------------------------------------------------------


def fetch(url: str, *, deadline: float, cancelled: threading.Event) -> bytes:
    """Return the content of one URL, at most 10 MiB. `deadline` is in monotonic seconds.

    Raises ApiError 4004, 4005, 4009, 4011, 5003; its detail never quotes the URL.
    """
    for _ in range(MAX_REDIRECTS + 1):
        target = _fetch_once(_parts(url), deadline, cancelled)
        if isinstance(target, bytes):
            return target
        url = urljoin(url, target)
        try:
            _parts(url)
        except ApiError:
            raise ApiError(errors.URL_UNREACHABLE, "it redirects to a URL other than http(s)") from None
    raise ApiError(errors.URL_UNREACHABLE, f"more than {MAX_REDIRECTS} redirects")


def _fetch_once(parts: SplitResult, deadline: float, cancelled: threading.Event) -> bytes | str:
    """Return the content (bytes), or the URL that it redirects to (str)."""
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    addresses = resolve(host, port, deadline)
    with contextlib.ExitStack() as stack:
        guard = None
        try:
            sock = stack.enter_context(contextlib.closing(_connect(addresses, deadline)))
            # A second handle: TLS takes over the first one, and its shutdown is not thread-safe.
            handle = stack.enter_context(contextlib.closing(sock.dup()))
            guard = stack.enter_context(watchdog.guard(handle, deadline))
            if parts.scheme == "https":
                sock = _tls_context().wrap_socket(sock, server_hostname=host)
                stack.enter_context(contextlib.closing(sock))
            answer = _exchange(sock, host, parts, deadline, cancelled)
            if guard.expired:  # a truncated response may look complete: headers may end with the stream
                raise late()
            return answer
        except ApiError:
            if guard is not None and guard.expired:
                raise late() from None
            raise
        except TimeoutError:
            raise late() from None
        except ssl.SSLCertVerificationError as error:
            raise ApiError(errors.URL_UNREACHABLE, f"TLS: {error.verify_message}") from None
        except (OSError, http.client.HTTPException) as error:
            if (guard is not None and guard.expired) or time.monotonic() >= deadline:
                raise late() from None
            detail = f"the connection failed: {type(error).__name__}"
            raise ApiError(errors.URL_UNREACHABLE, detail) from None


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _connect(addresses: list[tuple[str, int]], deadline: float) -> socket.socket:
    """Connect to the first address that answers; at most two are tried."""
    for address in addresses[:2]:
        try:
            return socket.create_connection(address, timeout=min(_left(deadline), settings.URL_TIMEOUT_S / 2))
        except OSError as error:
            failure = error
    raise failure


@lru_cache(maxsize=1)
def _tls_context() -> ssl.SSLContext:
    return ssl.create_default_context()


def _exchange(
    sock: socket.socket, host: str, parts: SplitResult, deadline: float, cancelled: threading.Event
) -> bytes | str:
    sock.settimeout(_left(deadline))
    connection = http.client.HTTPConnection(host, parts.port)
    connection.response_class = _Response
    connection.sock = sock
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._[]")
    if parts.query:
        target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._[]?")
    port = f":{parts.port}" if parts.port else ""
    name = f"[{host}]" if ":" in host else host.encode("idna").decode()
    request_headers = {
        "Host": name + port,
        "User-Agent": USER_AGENT,
        "Accept": "image/*, */*;q=0.5",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    connection.request("GET", target, headers=request_headers)
    with connection.getresponse() as response:
        return _read(response, cancelled)


class _Response(http.client.HTTPResponse):
    """A response that skips interim ones such as 103 Early Hints; http.client skips only 100."""

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(MAX_INTERIM):
            version, status, reason = super()._read_status()  # type: ignore[misc]  # private, not in typeshed
            if not 101 < status < 200:
                return version, status, reason
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException("too many interim responses")


def _read(response: http.client.HTTPResponse, cancelled: threading.Event) -> bytes | str:
    if response.status in (301, 302, 303, 307, 308):
        location = response.getheader("Location")
        if not location:
            raise ApiError(errors.URL_UNREACHABLE, "a redirect without Location")
        return _encoded(location)
    if 400 <= response.status < 500:
        raise ApiError(errors.URL_WRONG, f"the server answered {response.status}")
    if response.status != 200:
        raise ApiError(errors.URL_UNREACHABLE, f"the server answered {response.status}")
    return _content(response, cancelled)


def _encoded(location: str) -> str:
    """Percent-encode UTF-8 bytes and spaces in a Location, as browsers do."""
    return quote(location.strip().encode("latin-1", "replace"), safe="%:/?#[]@!$&'()*+,;=~|")


def _content(response: http.client.HTTPResponse, cancelled: threading.Event) -> bytes:
    too_large = ApiError(errors.IMAGE_TOO_LARGE, f"more than {MAX_BYTES} bytes at the URL")
    if response.length is not None and response.length > MAX_BYTES:
        raise too_large
    unpack = _unpacker((response.getheader("Content-Encoding") or "identity").strip().lower())
    content = bytearray()
    while piece := response.read1(PIECE_BYTES):
        content += unpack(piece, MAX_BYTES + 1 - len(content)) if unpack else piece
        if len(content) > MAX_BYTES:
            raise too_large
        if cancelled.is_set():
            raise ApiError(errors.URL_TIMEOUT, "given up")
    if response.length:
        raise ApiError(errors.URL_UNREACHABLE, "the content is shorter than its Content-Length")
    return bytes(content)


def _unpacker(encoding: str) -> Callable[[bytes, int], bytes] | None:
    """Return a function that decompresses a piece up to a number of bytes; None if not compressed.

    Some servers compress although the request accepts only identity.
    """
    if encoding == "identity":
        return None
    if encoding not in ("gzip", "x-gzip"):
        raise ApiError(errors.URL_UNREACHABLE, "the content is compressed, but not with gzip")
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    def unpack(piece: bytes, most: int) -> bytes:
        try:
            return unpacker.decompress(piece, most)
        except zlib.error:
            raise ApiError(errors.URL_UNREACHABLE, "the content is not valid gzip") from None

    return unpack


# --- the URLs of one call --------------------------------------------------------

_lock = threading.Lock()
_pool: "Pool | None" = None
_waiting: dict[int, int] = {}


class Pool:
    """A thread pool for fetches, shared fairly among customers.

    A customer may hold at most a third of the threads that others leave free. So however slow some servers
    are, the next customer gets a thread. Further URLs of a customer wait in that customer's queue.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="fetch")
        self._queues: dict[int, deque[tuple[Future[bytes], Callable[[], bytes]]]] = {}
        self._running: Counter[int] = Counter()
        self._lock = threading.Lock()

    def submit(self, customer: int, work: Callable[[], bytes]) -> Future[bytes]:
        """Start `work` when the customer may have a thread."""
        future: Future[bytes] = Future()
        with self._lock:
            self._queues.setdefault(customer, deque()).append((future, work))
            self._start_waiting()
        return future

    def _start_waiting(self) -> None:
        for customer in sorted(self._queues, key=lambda customer: self._running[customer]):
            queue = self._queues[customer]
            while queue:
                free = self._threads - self._running.total()
                share = max(1, (free + self._running[customer]) // 3)
                if free <= 0 or self._running[customer] >= share:
                    break
                future, work = queue.popleft()
                if future.set_running_or_notify_cancel():
                    self._running[customer] += 1
                    self._executor.submit(self._run, customer, future, work)
            if not queue:
                del self._queues[customer]

    def _run(self, customer: int, future: Future[bytes], work: Callable[[], bytes]) -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # any error is raised by result()
            future.set_exception(error)
        finally:
            with self._lock:
                self._running[customer] -= 1
                if not self._running[customer]:
                    del self._running[customer]
                self._start_waiting()


def _fetchers() -> Pool:
    global _pool
    with _lock:
        if _pool is None:
            _pool = Pool(settings.URL_FETCHERS)
        return _pool


@contextlib.contextmanager
def _turn(customer: int) -> Iterator[None]:
    """Count a waiting call during the block. Raises ApiError 4291 if the customer has too many of them."""
    with _lock:
        if _waiting.get(customer, 0) >= settings.URL_CALLS_PER_CUSTOMER:
            raise ApiError(
                errors.RATE,
                "too many calls of this customer are waiting for URLs",
                "同一客户等待下载图片的调用过多",
                retry_after_s=2,
            )
        _waiting[customer] = _waiting.get(customer, 0) + 1
    try:
        yield
    finally:
        with _lock:
            _waiting[customer] -= 1
            if not _waiting[customer]:
                del _waiting[customer]


def longest_s() -> float:
    """Return the longest time that a call waits for its URLs."""
    return PHASE_TIMEOUTS * float(settings.URL_TIMEOUT_S)


def fetch_all(urls: list[tuple[int, str]], *, customer: int) -> Iterator[bytes]:
    """Yield the content of each (index of its entry, url), in order, fetched a few at a time.

    Raises ApiError 4004, 4005, 4009, 4011 with `index`; 4291 and 5003 without.
    """
    if not urls:
        return
    give_up_at = time.monotonic() + longest_s()
    cancelled = threading.Event()
    waiting = deque(urls)
    running: deque[tuple[int, Future[bytes]]] = deque()
    with _turn(customer):
        try:
            while waiting or running:
                while waiting and len(running) < AT_ONCE:
                    index, url = waiting.popleft()
                    work = partial(_fetch_in_pool, url, give_up_at, cancelled)
                    running.append((index, _fetchers().submit(customer, work)))
                index, future = running.popleft()
                try:
                    # The pool may be busy with other calls: wait no longer than this call's own limit.
                    content = future.result(timeout=max(0.0, give_up_at - time.monotonic()) + 1)
                except TimeoutError:
                    raise late(index) from None
                except ApiError as error:
                    error.index = index if error.code < errors.INTERNAL else None
                    raise
                yield content
        finally:
            cancelled.set()
            for _, future in running:
                future.cancel()


def _fetch_in_pool(url: str, give_up_at: float, cancelled: threading.Event) -> bytes:
    deadline = min(give_up_at, time.monotonic() + settings.URL_TIMEOUT_S)
    return fetch(url, deadline=deadline, cancelled=cancelled)
