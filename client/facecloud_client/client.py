"""FaceClient: signed API calls with retries, for any number of pictures."""

import secrets
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import httpx

from facecloud_client import config
from facecloud_client.errors import ApiError, ConfigError, FaceCloudError, TransportError, error_class
from facecloud_client.i18n import say
from facecloud_client.request import signing
from facecloud_client.request.batches import BATCH_IMAGES, MAX_IMAGES, MAX_PAIRS, split
from facecloud_client.request.body import Body, Item, names
from facecloud_client.request.retry import RETRIED_CODES, RETRIED_STATUSES, RETRY_FOR_S, retry_after_s, wait_s
from facecloud_client.request.sources import Picture, is_url, source
from facecloud_client.results import CompareResult, FaceResult, compare_result, face_result
from facecloud_client.version import VERSION

CONNECT_TIMEOUT_S = 10.0
# The service answers within 30 s, 2 s for each picture, and 30 s if it fetches pictures from URLs.
READ_TIMEOUT_S = 75.0
READ_TIMEOUT_PER_PICTURE_S = 3.0
IN_PROGRESS = 4292  # the first attempt with this Idempotency-Key
_RANDOM = secrets.SystemRandom()
R = TypeVar("R")


class Content(Protocol):
    """A request body: its size, its SHA-1, and its bytes in pieces. It can be iterated more than once."""

    @property
    def length_bytes(self) -> int: ...

    @property
    def sha1_hex(self) -> str: ...

    def __iter__(self) -> Iterator[bytes]: ...


@dataclass(frozen=True)
class Reply:
    """A reply with code 0: one entry of `result` for each entry of `data`."""

    entries: Sequence[Mapping[str, Any]]
    request_id: str
    billed_units: int | None
    quota_remaining: int | None


class FaceClient:
    """Access to the API for one App. Thread-safe; call `close` or use it as a context manager.

    `base_url` may include a path, such as https://example.org/face; the path is part of the signature.
    """

    def __init__(
        self,
        app_key: str,
        secret: str,
        base_url: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Create a client. Raises ConfigError if a value is missing or malformed."""
        if not app_key or not secret or not is_url(base_url):
            raise ConfigError(
                say(
                    "需要 AppKey、SecretKey 与 http(s) 地址",
                    "AppKey, SecretKey and an http(s) URL are required",
                )
            )
        if not (app_key.isascii() and app_key.isprintable()):
            raise ConfigError(
                say(
                    "AppKey 含有请求头不能携带的字符",
                    "The AppKey contains characters that are not allowed in a header",
                )
            )
        self.app_key = app_key
        self.base_url = base_url.rstrip("/")
        self._secret = secret
        self._sleep = sleep
        self._now = now
        try:
            host = httpx.URL(self.base_url).host
        except httpx.InvalidURL as error:
            raise ConfigError(
                say(f"服务地址有误：{error}", f"The URL of the service is invalid: {error}")
            ) from error
        # Ignore proxies from the environment for a service on this machine.
        is_here = host in ("localhost", "127.0.0.1", "::1")
        self._http = httpx.Client(
            headers={"User-Agent": f"facecloud-client/{VERSION}"}, trust_env=not is_here
        )

    @classmethod
    def from_env(cls) -> Self:
        """Create a client from FACECLOUD_URL, FACECLOUD_APP_KEY and FACECLOUD_SECRET_KEY, or var/demo.env.

        Raises ConfigError if a value is missing.
        """
        found = config.load()
        return cls(found.app_key, found.secret, found.url)

    def __repr__(self) -> str:
        return f"FaceClient({self.app_key!r}, {self.base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def detect(self, pictures: Iterable[Picture], *, batch: int = BATCH_IMAGES) -> list[FaceResult]:
        """Detect faces with boxes, landmarks and probabilities (face_detect).

        Returns one FaceResult for each picture, in order. A picture is a path, an http(s) URL, bytes or an
        open binary file. Raises ApiError for the first batch that is rejected, with `index` counted over all
        pictures; InputError; TransportError.
        """
        return self._all("face_detect", [source(picture) for picture in pictures], batch, face_result)

    def analyse(self, pictures: Iterable[Picture], *, batch: int = BATCH_IMAGES) -> list[FaceResult]:
        """Estimate age and gender (face_analyse); otherwise like `detect`."""
        return self._all("face_analyse", [source(picture) for picture in pictures], batch, face_result)

    def compare(
        self, pairs: Iterable[tuple[Picture, Picture]], *, batch: int = MAX_PAIRS
    ) -> list[CompareResult]:
        """Compare the largest faces of each pair (face_compare); otherwise like `detect`.

        A request is charged as one call for any number of pairs, unless the package counts pairs or images.
        """
        items = [(source(one), source(other)) for one, other in pairs]
        return self._all("face_compare", items, batch, compare_result)

    def _all(
        self, api: str, items: Sequence[Item], batch: int, read: Callable[[Mapping[str, Any]], R]
    ) -> list[R]:
        results: list[R] = []
        for part in split(items, min(batch, max_items(api))):
            try:
                results.extend(read(entry) for entry in self.call(api, part).entries)
            except ApiError as error:
                if error.index is not None:
                    error.index += len(results)
                raise
        return results

    def call(self, api: str, items: Sequence[Item]) -> Reply:
        """Send one request, with retries; every attempt is signed anew.

        All attempts have the same Idempotency-Key, so that the service charges once. Raises ApiError,
        TransportError or InputError.
        """
        pictures = sum(len(names(item)) for item in items)
        return self.call_body(api, Body(items), len(items), pictures=pictures)

    def call_body(
        self, api: str, body: Content, count: int, *, pictures: int | None = None, idempotency_key: str = ""
    ) -> Reply:
        """Send a prepared body with `count` entries of `data`; otherwise like `call`.

        There is one picture for each entry by default, and the Idempotency-Key is a new one.
        """
        pictures = count if pictures is None else pictures
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        attempts: Counter[bool] = Counter()  # with and without a Retry-After
        spent_s = 0.0
        while True:
            asked_s: float | None = None
            failure: FaceCloudError
            began_s = time.monotonic()
            try:
                response = self.post(f"/api/v1/{api}.json", body, headers, pictures)
                asked_s = retry_after_s(response.headers.get("Retry-After"), self._now())
                return read_reply(response, count, asked_s)
            except httpx.TransportError as error:
                failure = TransportError(_network_message(self.base_url, error))
            except ApiError as error:
                if error.http_status not in RETRIED_STATUSES and error.code not in RETRIED_CODES:
                    raise
                failure = error
            except TransportError as error:
                if response.status_code not in (*RETRIED_STATUSES, 200):
                    raise
                failure = error
            spent_s += time.monotonic() - began_s
            pause_s = wait_s(
                attempts[asked_s is None],
                asked_s,
                _RANDOM.random(),
                spent_s=spent_s,
                limit_s=_retry_limit_s(failure, pictures),
            )
            if pause_s is None:
                raise failure
            self._sleep(pause_s)
            spent_s += pause_s
            attempts[asked_s is None] += 1

    def post(self, path: str, body: Content, extra: Mapping[str, str], pictures: int = 1) -> httpx.Response:
        """Send one signed attempt and return the response, with any status. Raises httpx.TransportError."""
        url = httpx.URL(self.base_url + path)
        raw_path, _, query = url.raw_path.decode("ascii").partition("?")
        dt = str(int(self._now().timestamp() * 1000))
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(body.length_bytes),
            **signing.headers(self.app_key, self._secret, "POST", raw_path, query, dt, body.sha1_hex),
            **extra,
        }
        timeout = httpx.Timeout(read_timeout_s(pictures), connect=CONNECT_TIMEOUT_S)
        return self._http.post(url, content=iter(body), headers=headers, timeout=timeout)

    def get(self, path: str) -> httpx.Response:
        """Send an unsigned GET for a path below `base_url`. Raises httpx.TransportError."""
        return self._http.get(self.base_url + path, timeout=CONNECT_TIMEOUT_S)


def read_timeout_s(pictures: int) -> float:
    """Return how long to wait for the answer to a request with so many pictures."""
    return READ_TIMEOUT_S + READ_TIMEOUT_PER_PICTURE_S * pictures


def _retry_limit_s(failure: FaceCloudError, pictures: int) -> float:
    """Return for how long a call is retried; longer while its first attempt may be in progress (4292)."""
    if isinstance(failure, ApiError) and failure.code == IN_PROGRESS:
        return max(RETRY_FOR_S, read_timeout_s(pictures))
    return RETRY_FOR_S


def max_items(api: str) -> int:
    """Return the API's limit of entries per request."""
    return MAX_PAIRS if api == "face_compare" else MAX_IMAGES


def read_reply(response: httpx.Response, items: int, asked_s: float | None = None) -> Reply:
    """Parse a response with code 0.

    Raises ApiError for other codes, and TransportError if the response is not a reply of the API.
    """
    try:
        envelope = response.json()
        code = int(envelope["code"])
    except (ValueError, KeyError, TypeError) as error:
        raise TransportError(_not_api_message(response)) from error
    request_id = response.headers.get("X-Request-Id", "")
    if code != 0:
        raise error_class(code)(
            code,
            str(envelope.get("message", "")),
            http_status=response.status_code,
            request_id=str(envelope.get("request_id") or request_id),
            index=envelope.get("index"),
            retry_after_s=asked_s,
            details=envelope,
        )
    entries = envelope.get("result")
    if not isinstance(entries, list) or len(entries) != items:
        raise TransportError(_not_api_message(response))
    return Reply(
        entries,
        request_id,
        _number(response.headers.get("X-Billed-Units")),
        _number(response.headers.get("X-Quota-Remaining")),
    )


def _number(header: str | None) -> int | None:
    return int(header) if header and header.isdigit() else None


def _network_message(base_url: str, error: httpx.TransportError) -> str:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return say(f"连不上 {base_url}：{error}", f"Cannot connect to {base_url}: {error}")
    if isinstance(error, httpx.TimeoutException):
        return say(f"{base_url} 没有在时限内应答", f"{base_url} did not respond in time")
    return say(f"与 {base_url} 的连接中断：{error}", f"The connection to {base_url} was interrupted: {error}")


def _not_api_message(response: httpx.Response) -> str:
    if response.is_redirect:
        target = response.headers.get("Location", "")
        return say(
            f"地址被重定向到 {target}，请把 FACECLOUD_URL 改为重定向后的地址",
            f"The URL redirects to {target}: set FACECLOUD_URL to that address",
        )
    start = response.text[:80].strip()
    return say(
        f"应答不是人脸识别 API 的格式（HTTP {response.status_code}）：{start}",
        f"The response is not from the API (HTTP {response.status_code}): {start}",
    )
