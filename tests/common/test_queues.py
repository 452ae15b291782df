"""The sweep needs neither an inference worker nor a mail server."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings
from django.utils import timezone

from accounts.models import App, User
from billing import quota
from billing.models import Api
from common import valkey
from common.celery import broker, queues
from embedded.services.managed_process import Process
from embedded.site import mail_process, scheduled_process
from tests import purchases
from tests.common.mail_servers import mail_server
from tests.conftest import wait_until


@contextmanager
def running(process: Process) -> Iterator[Process]:
    process.start()
    try:
        yield process
    finally:
        process.stop()


@pytest.fixture
def logs() -> Path:
    folder = Path(settings.VAR_DIR) / "log" / "queues"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def app(transactional_db: None) -> App:
    customer = User.objects.create(username="alice", email="alice@example.org")
    now = timezone.now()
    return purchases.pay(purchases.place(customer, at=now), now)


def send(task: str, *args: object, queue: str) -> None:
    broker.publish(task, uuid4().hex, args, queue=queue)


@pytest.mark.django_db(transaction=True)
def test_the_sweep_needs_no_mail_server_and_no_inference_worker(
    app: App, product_environment: dict[str, str], logs: Path
) -> None:
    User.objects.update(password="argon2$")  # a mail can be sent
    quota.reserve(call_id=uuid4(), app=app, api=Api.FACE_DETECT, images=3, at=timezone.now(), hold_s=1)
    with mail_server() as (port, called):
        environment = product_environment | {"EMAIL_URL": f"smtp://127.0.0.1:{port}", "EMAIL_TIMEOUT_S": "60"}
        with (
            running(mail_process(environment, logs=logs)) as mailing,
            running(scheduled_process(environment, logs=logs)) as scheduled,
        ):
            for _number in range(2 * queues.SLOTS):
                arguments = ("alice@example.org", "en")
                send("console.send_password_reset", *arguments, queue=queues.MAIL)
            wait_until(lambda: len(called) == queues.SLOTS, timeout_s=60, what=f"a full pool ({mailing.log})")
            time.sleep(1)  # the hold expires
            send("billing.sweep_holds", queue=queues.SCHEDULED)
            wait_until(
                lambda: quota.remaining(app, Api.FACE_DETECT, timezone.now()) == 1000,
                timeout_s=60,
                what=f"the units ({scheduled.log})",
            )
            assert len(called) == queues.SLOTS  # all of them still wait
    valkey.client().delete(queues.MAIL)
