"""Where mails go when there is no mail server. Their links set passwords, so others must not read them.

`FolderBackend` is the default: one file per connection in VAR_DIR/mail, readable by the owner only.
`LogBackend` replaces Django's console backend: it logs that a mail was not sent, never what it says.
"""

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.filebased import EmailBackend

KEEP_S = 7 * 24 * 3600

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
            for file in self._folder.glob("*.log"):
                if file.stat().st_mtime < time.time() - KEEP_S:
                    file.unlink(missing_ok=True)
        return is_new


class LogBackend(BaseEmailBackend):
    """Logs the subject of each mail instead of sending it."""

    def send_messages(self, messages: Sequence[EmailMessage]) -> int:
        for message in messages:
            log.warning("mail not sent, since EMAIL_URL names no mail server: %s", message.subject)
        return len(messages)
