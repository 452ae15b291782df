"""Structured logs of web and worker processes: one JSON object per line, with the request id if there is one.

Never log an image, a secret, a signature or the URL of an image; log ids, counts, times and codes.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS

_request_id: ContextVar[str] = ContextVar("request_id", default="")


@contextmanager
def request_id_in_logs(request_id: str) -> Iterator[None]:
    """Add `request_id` to every record that is logged in the `with` block."""
    token = _request_id.set(request_id)
    try:
        yield
    finally:
        _request_id.reset(token)


class RequestIdFilter(logging.Filter):
    """Adds the current request id to each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        request_id = _request_id.get()
        if request_id:
            record.request_id = request_id
        return True


def config(level: str) -> dict[str, Any]:
    """Return Django's LOGGING setting: everything to stderr as JSON."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": "common.logs.RequestIdFilter"}},
        "formatters": {
            "json": {
                "()": "pythonjsonlogger.json.JsonFormatter",
                "format": "{asctime}{levelname}{name}{message}",
                "style": "{",
                # Celery attaches the arguments of a failed task, which may include an e-mail address.
                "reserved_attrs": [*RESERVED_ATTRS, "data"],
                "rename_fields": {"asctime": "at", "levelname": "level", "name": "logger"},
                "json_ensure_ascii": False,
            }
        },
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "filters": ["request_id"], "formatter": "json"}
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # 4xx responses are not worth a line; unhandled exceptions are logged as errors.
            "django.request": {"level": "ERROR"},
            "celery.app.trace": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
        },
    }
