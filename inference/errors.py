"""Errors that inference raises, from the bytes of an image to the numbers about its faces.

    InferenceError                5001  inference failed, or an unexpected error
    ├── ImageError                      the caller's image is at fault; `code` is one of IMAGE_CODES
    ├── IncompleteResultError     5002  inference returned a result that the reply cannot be built from
    └── ModelError                5001  a model file is missing, altered or could not be fetched

The numbers are the manual's (4.1.2); only `faceapi` turns them into messages and HTTP statuses.
"""

from __future__ import annotations

FORMAT = 4002
UNDECODABLE = 4003
DIMENSIONS = 4008
IMAGE_TOO_LARGE = 4009
NOT_AN_IMAGE = 4012
INTERNAL = 5001
INCOMPLETE_RESULT = 5002

IMAGE_CODES = frozenset({FORMAT, UNDECODABLE, DIMENSIONS, IMAGE_TOO_LARGE, NOT_AN_IMAGE})


class InferenceError(Exception):
    """Base of the errors that inference raises. `code` is the manual's number.

    The `detail` of an ImageError is part of the reply (faceapi/errors/details.py), others are for the log.
    """

    code = INTERNAL

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class ImageError(InferenceError):
    """The image is rejected. `detail` names the rule and never quotes the content."""

    def __init__(self, code: int, detail: str) -> None:
        if code not in IMAGE_CODES:
            raise ValueError(f"{code} is not an image error code")
        super().__init__(detail)
        self.code = code


class IncompleteResultError(InferenceError):
    """A model returned numbers that cannot be a result: not finite, or of the wrong shape."""

    code = INCOMPLETE_RESULT


class ModelError(InferenceError):
    """A model file is missing, altered or could not be fetched; `detail` is a sentence for the operator."""
