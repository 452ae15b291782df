"""The exceptions of this package.

FaceCloudError
├── ConfigError             the URL, the AppKey or the SecretKey is missing or malformed
├── InputError              a picture cannot be read, or is too large to be sent
├── TransportError          no complete reply: connection refused, timed out, cut off, not the API's JSON
└── ApiError                the service replied with a code other than 0
    ├── AuthenticationError 41xx
    ├── QuotaError          42xx: not ordered, used up, expired, over the rate limit
    └── ServiceError        5xxx
"""

from collections.abc import Mapping
from typing import Any

from facecloud_client.codes import ENGLISH
from facecloud_client.i18n import say


class FaceCloudError(Exception):
    """Base of all exceptions that this package raises."""


class ConfigError(FaceCloudError):
    """The URL or the keys are missing or malformed."""


class InputError(FaceCloudError):
    """A picture that cannot be sent; `source` is its name."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{source}: {reason}" if source else reason)
        self.source = source
        self.reason = reason


class TransportError(FaceCloudError):
    """No usable reply after all retries."""


class ApiError(FaceCloudError):
    """The service rejected the request.

    `code` and `message` are the service's; `index` is the position of the entry of `data` at fault, or None
    if it is not a single one; `details` is the whole reply.
    """

    def __init__(
        self,
        code: int,
        message: str,
        *,
        http_status: int,
        request_id: str = "",
        index: int | None = None,
        retry_after_s: float | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        self.code = code
        self.message = message
        self.http_status = http_status
        self.request_id = request_id
        self.index = index
        self.retry_after_s = retry_after_s
        self.details = dict(details or {})
        super().__init__(f"{code} {message}")

    @property
    def headline(self) -> str:
        """Code and message in the user's language: `4202 本计费周期调用量已用完`."""
        return f"{self.code} {say(self.message, ENGLISH.get(self.code, self.message))}"

    @property
    def detail(self) -> str:
        """Return the description of the error, in the user's language if the service provides it."""
        english = str(self.details.get("detail") or "")
        return say(str(self.details.get("detail_zh") or english), english)

    @property
    def remedy(self) -> str:
        """The service's advice in the user's language; empty if there is none."""
        advice = self.details.get(say("remedy", "remedy_en")) or self.details.get("remedy") or ""
        return str(advice)

    def __str__(self) -> str:
        lines = [self.headline]
        if self.detail:
            lines.append(self.detail)
        if self.remedy:
            lines.append(self.remedy)
        if self.retry_after_s is not None:
            lines.append(
                say(f"请在 {self.retry_after_s:g} 秒后重试", f"try again in {self.retry_after_s:g} s")
            )
        if self.request_id:
            lines.append(f"request_id {self.request_id}")
        return "\n".join(lines)


class AuthenticationError(ApiError):
    """41xx: the signature, the AppKey, the clock or the client's address was rejected."""


class QuotaError(ApiError):
    """42xx: no quota left, or too many requests."""


class ServiceError(ApiError):
    """5xxx: the service failed."""


def error_class(code: int) -> type[ApiError]:
    """Return the exception class for a code."""
    if 4100 <= code < 4200:
        return AuthenticationError
    if 4200 <= code < 4300:
        return QuotaError
    if 5000 <= code < 6000:
        return ServiceError
    return ApiError
