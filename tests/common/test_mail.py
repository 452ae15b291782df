"""A mail server that is silent or endlessly slow fails one mail and nothing else."""

import smtplib
import time
import traceback

import pytest
from django.conf import settings
from django.core.mail import EmailMessage

from bench.ports import free_port
from common import mail_backends, valkey
from common.mail_backends import STEPS, SmtpBackend
from facecloud.env import SMTP_BACKEND, Env
from tests.common.mail_servers import mail_server, refusing_server

TIMEOUT_S = 0.5


@pytest.mark.parametrize("use_ssl", [False, True])
@pytest.mark.parametrize("line", [b"", b"220-"])
def test_a_mail_has_a_deadline(line: bytes, use_ssl: bool) -> None:
    message = EmailMessage("subject", "text", "from@example.org", ["to@example.org"])
    with mail_server(line) as (port, _called):
        backend = SmtpBackend(host="127.0.0.1", port=port, timeout=TIMEOUT_S, use_ssl=use_ssl)
        started = time.monotonic()
        with pytest.raises((smtplib.SMTPException, OSError)):
            backend.send_messages([message])
    assert time.monotonic() - started < TIMEOUT_S * STEPS + 10


def test_mails_that_the_server_did_not_accept_are_counted() -> None:
    client = valkey.client()
    before = mail_backends.failures(client, valkey.now_s(client))
    message = EmailMessage("subject", "text", "from@example.org", ["to@example.org"])
    with pytest.raises(ConnectionRefusedError):
        SmtpBackend(host="127.0.0.1", port=free_port(), timeout=TIMEOUT_S).send_messages([message])
    now_s = valkey.now_s(client)
    assert mail_backends.failures(client, now_s) == before + 1
    assert mail_backends.failures(client, now_s + 2 * 3600) == 0


def test_an_error_names_no_recipient() -> None:
    """Errors are logged, with the server's reason but without the address."""
    message = EmailMessage("subject", "text", "from@example.org", ["to@example.org"])
    with refusing_server() as port, pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        SmtpBackend(host="127.0.0.1", port=port, timeout=20).send_messages([message])
    assert caught.value.recipients == {"recipient 1": (550, b"5.1.1 <...>: unknown")}
    assert "to@example.org" not in "".join(traceback.format_exception(caught.value))


def test_the_product_mails_with_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.EMAIL_TIMEOUT > 0
    for scheme in ("smtp", "smtps", "smtp+tls", "smtp+ssl"):
        monkeypatch.setenv("SETTING", f"{scheme}://mail.example.org:25")
        assert Env().email_url("SETTING")["EMAIL_BACKEND"] == SMTP_BACKEND
