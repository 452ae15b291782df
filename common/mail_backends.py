"""Mail backends. Mails contain links that set passwords, so others must not be able to read them.

`SmtpBackend` adds a deadline to Django's backend, and counts the mails that the server did not accept.
`FolderBackend` is the default without a mail server: one file per connection in VAR_DIR/mail, readable only
by its owner. `LogBackend` replaces Django's console backend: it logs that a mail was not sent, but not its
content.
"""

import contextlib
import logging
import os
import re
import smtplib
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import redis
from django.core.mail import EmailMessage
from django.core.mail.backends import smtp
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.filebased import EmailBackend

from common import valkey, watchdog

KEEP_S = 7 * 24 * 3600
STEPS = 6.0  # connect, TLS, login, sender and recipients, message, quit
FAILED_KEY = "mail:failed"  # the number of failed mails of each FAILED_STEP_S
FAILED_STEP_S = 600
FAILED_STEPS = 6  # counted: the current one and those of the 50 minutes before

log = logging.getLogger(__name__)


class FolderBackend(EmailBackend):
    """Django's file backend in a folder of mode 0700; files older than a week are deleted."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._folder = Path(self.file_path)
        self._folder.chmod(0o700)

    def open(self) -> bool:
        is_new = bool(super().open())
        if is_new:
            os.fchmod(self.stream.fileno(), 0o600)
            delete_old_files(self._folder)
        return is_new


def delete_old_files(folder: Path) -> None:
    """Delete the mails in `folder` that are older than a week. The folder may be missing."""
    for file in folder.glob("*.log"):
        if file.stat().st_mtime < time.time() - KEEP_S:
            file.unlink(missing_ok=True)


class LogBackend(BaseEmailBackend):
    """Logs the subject of each mail instead of sending it."""

    def send_messages(self, messages: Sequence[EmailMessage]) -> int:
        for message in messages:
            log.warning("mail not sent, no mail server in EMAIL_URL: %s", message.subject)
        return len(messages)


class SmtpBackend(smtp.EmailBackend):
    """Django's SMTP backend, with a deadline of `timeout` times STEPS for each message.

    `timeout` bounds only a single read, so a server that sends a byte now and then could go on for ever.
    """

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        self._deadline = time.monotonic() + (self.timeout or 0.0) * STEPS * max(1, len(email_messages))
        try:
            with contextlib.ExitStack() as self._guards:
                return super().send_messages(email_messages) or 0
        except smtplib.SMTPRecipientsRefused as error:  # the address is at fault, not the server
            raise smtplib.SMTPRecipientsRefused(without_addresses(error.recipients)) from None
        except (smtplib.SMTPException, OSError):
            note_failure()
            raise

    @property
    def connection_class(self) -> Any:
        plain = smtplib.SMTP_SSL if self.use_ssl else smtplib.SMTP
        return type("GuardedSMTP", (_Guarded, plain), {"backend": self})

    def guard(self, sock: socket.socket) -> None:
        """Shut `sock` down for reading at the deadline, even once TLS has taken over its file descriptor."""
        if self.timeout:
            same = self._guards.enter_context(socket.socket(fileno=os.dup(sock.fileno())))
            self._guards.enter_context(watchdog.guard(same, self._deadline))


def without_addresses(refused: Mapping[str, tuple[int, bytes]]) -> dict[str, tuple[int, bytes]]:
    """Return the server's replies for the recipients without their addresses, since errors are logged."""
    return {
        f"recipient {number}": (code, re.sub(rb"[^\s<>]+@[^\s<>]+", b"...", words))
        for number, (code, words) in enumerate(refused.values(), 1)
    }


def note_failure() -> None:
    """Count a mail that the server did not accept, for the operators' findings."""
    try:
        client = valkey.client()
        key = f"{FAILED_KEY}:{int(valkey.now_s(client)) // FAILED_STEP_S}"
        client.incr(key)
        client.expire(key, FAILED_STEP_S * (FAILED_STEPS + 1))
    except redis.RedisError:
        log.exception("a failed mail could not be counted")


def failures(client: redis.Redis, now_s: float) -> int:
    """Return the number of mails of the last hour that the server did not accept."""
    step = int(now_s) // FAILED_STEP_S
    counts = client.mget([f"{FAILED_KEY}:{step - back}" for back in range(FAILED_STEPS)])
    return sum(int(count or 0) for count in counts)


class _Guarded:
    """A mixin for smtplib.SMTP and SMTP_SSL that guards each new connection with the backend's deadline."""

    backend: SmtpBackend

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc]  # a mixin
        self.backend.guard(sock)
        return sock
