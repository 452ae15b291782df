"""What can go wrong between the bytes of an image and the numbers about its faces.

    InferenceError                5001  inference failed, or something unforeseen
    ├── ImageError                      the caller's image is at fault; `code` is one of IMAGE_CODES
    ├── IncompleteResultError     5002  inference answered, but without what the reply needs
    └── ModelError                5001  a model file is missing, altered or could not be fetched

The numbers are the manual's (4.1.2); only `faceapi` turns them into words and HTTP statuses.
"""

from __future__ import annotations

UNSUPPORTED_FORMAT = 4002
UNDECODABLE = 4003
BAD_DIMENSIONS = 4008
TOO_MANY_BYTES = 4009
NOT_AN_IMAGE = 4012
FAILED = 5001
INCOMPLETE = 5002

IMAGE_CODES = frozenset({UNSUPPORTED_FORMAT, UNDECODABLE, BAD_DIMENSIONS, TOO_MANY_BYTES, NOT_AN_IMAGE})


class InferenceError(Exception):
    """Anything that inference raises on purpose. `code` is the manual's number, `detail` is for the log."""

    code = FAILED

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class ImageError(InferenceError):
    """The image cannot be served. `detail` names the rule and never quotes the content."""

    def __init__(self, code: int, detail: str) -> None:
        if code not in IMAGE_CODES:
            raise ValueError(f"{code} is no image code")
        super().__init__(detail)
        self.code = code


class IncompleteResultError(InferenceError):
    """A model answered with numbers that cannot be a result (not finite, wrong shape)."""

    code = INCOMPLETE


class ModelError(InferenceError):
    """A model file is missing, altered or could not be fetched; `detail` is one sentence for the operator."""
