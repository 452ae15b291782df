"""The logs of web and worker are JSON lines with the request id, and contain nothing private."""

import base64
import json
import logging
from logging.config import DictConfigurator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from accounts import keys
from accounts.models import User
from billing import orders
from common import logs
from embedded.services.managed_process import Process
from tests.conftest import wait_until
from tests.console.conftest import Place
from tests.faceapi.conftest import Caller


def lines(path: Path, request_id: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if request_id in line]


def test_the_arguments_of_a_failed_task_are_not_logged() -> None:
    """Celery attaches them to the record as `data`; some are e-mail addresses."""
    wanted = dict(logs.config("INFO")["formatters"]["json"])
    formatter = DictConfigurator({"version": 1}).configure_formatter(wanted)
    record = logging.makeLogRecord(
        {"msg": "failed", "data": {"args": ["alice@example.org"]}, "request_id": "r-1"}
    )
    line = json.loads(formatter.format(record))
    assert (line["message"], line["request_id"]) == ("failed", "r-1")
    assert "alice" not in str(line)


@pytest.mark.usefixtures("transactional_db")
def test_a_call_is_logged_with_its_request_id_in_web_and_worker(
    site: str, worker: Process, alice: User, place: Place, astronaut: bytes, now: Any
) -> None:
    app = orders.pay(place(alice), now).app
    assert app is not None
    key = app.keys.get()
    caller = Caller(site.removeprefix("http://"), key, keys.secret_of(key))
    picture = base64.b64encode(astronaut).decode()
    answer = caller.call(["data:application/octet-stream;base64," + picture])
    caller.connections[0].close()
    assert answer.code == 0
    logs = settings.VAR_DIR / "log"
    request_id = answer.headers["X-Request-Id"]
    wait_until(  # the worker writes its line after it has answered
        lambda: any(line["message"] == "chunk done" for line in lines(logs / "worker.log", request_id)),
        timeout_s=20,
        what="the worker's line",
    )
    (web,) = [line for line in lines(logs / "web.log", request_id) if line["message"] == "call"]
    (done,) = [line for line in lines(logs / "worker.log", request_id) if line["message"] == "chunk done"]
    assert web["request_id"] == done["request_id"] == request_id
    assert (web["app"], web["code"], web["images"], web["level"]) == (app.app_id, 0, 1, "INFO")
    assert web["address"] == "127.0.0.1"
    assert done["infer_ms"] > 0

    text = (logs / "web.log").read_text() + (logs / "worker.log").read_text()
    signature = caller.headers(b"{}")["Authorization"].rpartition(":")[2]
    for private in (caller.secret, signature, picture[100:160], key.secret_encrypted, "CTYUN "):
        assert private not in text
