"""A site whose database, Valkey, web process or client is lost between the settle and the answer."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from urllib.parse import quote
from uuid import UUID

import psutil
import pytest

from accounts.models import AppKey
from bench.chaos.database import Database
from bench.chaos.proxy import Proxy
from bench.ports import free_port
from common import valkey
from embedded.services.managed_process import Process
from embedded.services.postgres import Postgres
from embedded.site import web_process
from faceapi import errors
from tests.conftest import REPOSITORY, wait_until
from tests.conftest import answers as responds
from tests.faceapi.conftest import LIMITS, Caller, encode, inline


class Fragile(Database):
    """A site, its PostgreSQL and a caller; `proxy` is between the site and PostgreSQL."""

    def __init__(self, caller: Caller, web: Process, postgres: Postgres, proxy: Proxy) -> None:
        super().__init__(postgres)
        self.caller, self.web, self.proxy = caller, web, proxy
        self.threads = ThreadPoolExecutor(4)

    def call(self) -> Callable[[], tuple[int, str]]:
        """Start a call; return a function that returns its code (-1 if there was no answer) and its id."""

        def send() -> tuple[int, str]:
            answer = self.caller.call([inline(encode())], timeout_s=60)
            return answer.code, answer.headers["X-Request-Id"]

        return self.threads.submit(send).result

    def has_noted(self, call_id: str) -> bool:
        """Return whether the answer survives its web process: it is in a file, or already confirmed."""
        noted = b""
        for note in (self.postgres.data.parent / "answers").glob("[!.]*"):
            with suppress(FileNotFoundError):  # the file was adopted meanwhile
                noted += note.read_bytes()
        state = "SELECT state FROM billing_debit WHERE call_id = %s"
        return UUID(call_id).bytes in noted or self.ask(state, call_id) == [("settled",)]

    def end_of(self, call_id: str) -> tuple[object, ...]:
        """Return the debit's last state, with the code and the units of the record."""
        sql = (
            "SELECT state, code, call.units FROM billing_debit debit"
            " LEFT JOIN faceapi_call call ON call.id = debit.call_id WHERE call_id = %s"
        )

        def is_over() -> bool:
            return self.ask(sql, call_id)[0][0] in ("settled", "returned")

        wait_until(is_over, timeout_s=30, what=f"the end of {call_id}")
        return self.ask(sql, call_id)[0]


@pytest.fixture(scope="module")
def fragile(
    transactional_db: None,
    worker: Process,
    product_environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Fragile]:
    folder = tmp_path_factory.mktemp("fragile")
    folder.chmod(0o711)
    sockets = folder / "sockets"
    for made in (sockets, folder / "front", folder / "log"):
        made.mkdir(mode=0o777)
        made.chmod(0o777)
    data, log = folder / "data", folder / "log" / "pg"
    environment = product_environment | LIMITS | {"FACECLOUD_VAR_DIR": str(folder)}
    seeded = ""
    forgetful = Postgres(data=data, sockets=sockets, log=log, durable=False)  # migrates in half the time
    forgetful.start()
    try:
        for command in (["migrate", "--verbosity", "0"], ["seed_demo", "--json"]):
            seeded = subprocess.run(
                [sys.executable, "manage.py", *command],
                cwd=REPOSITORY,
                env=environment | {"DATABASE_URL": forgetful.url},
                check=True,
                capture_output=True,
                text=True,
                timeout=200,
            ).stdout
    finally:
        forgetful.stop()
    postgres = Postgres(data=data, sockets=sockets, log=log)
    postgres.start()
    proxy = Proxy(folder / "front" / ".s.PGSQL.5432", sockets / ".s.PGSQL.5432")
    demo = json.loads(seeded)
    port = free_port()
    environment["DATABASE_URL"] = f"postgres://postgres@/{quote(str(folder / 'front'))}/facecloud"
    web = web_process(environment, host="127.0.0.1", port=port, logs=folder / "log")
    web.start()
    key = AppKey(key=demo["FACECLOUD_APP_KEY"])
    site = Fragile(Caller(f"127.0.0.1:{port}", key, demo["FACECLOUD_SECRET_KEY"]), web, postgres, proxy)
    try:
        wait_until(lambda: responds(f"http://127.0.0.1:{port}/readyz"), timeout_s=60, what=str(web.log))
        yield site
    finally:
        site.threads.shutdown()
        site.caller.close()
        web.stop()
        proxy.close()
        postgres.stop()


@pytest.fixture
def site(fragile: Fragile) -> Fragile:
    """Return the site after a first call, so that only the settle of the next one waits for the disk."""
    code, call_id = fragile.call()()
    assert code == 0
    assert fragile.end_of(call_id) == ("settled", 0, 1)
    return fragile


@pytest.mark.race
def test_a_database_that_dies_after_the_commit_charges_nothing(site: Fragile) -> None:
    site.hold_commits()
    call = site.call()
    site.wait_for("SyncRep")
    os.killpg(site.postgres.process.pid, signal.SIGKILL)
    site.postgres.process.stop()
    code, call_id = call()  # the web process gave up
    assert code == errors.OVERLOADED
    site.forget_held_commits()
    site.postgres.start()
    assert site.end_of(call_id) == ("returned", errors.OVERLOADED, 0)


@pytest.mark.race
def test_a_call_whose_connection_is_cut_during_the_commit_is_charged_once(site: Fragile) -> None:
    with site.commits_that_wait():
        call = site.call()
        site.wait_for("SyncRep")
        site.proxy.cut()
        site.wait_for("transactionid")  # the second attempt waits for the first one's row
    code, call_id = call()
    assert code == 0
    assert site.end_of(call_id) == ("settled", 0, 1)


@pytest.mark.race
def test_a_client_that_disconnects_during_the_settle_is_not_charged(site: Fragile) -> None:
    body = site.caller.body([inline(encode())])
    with site.settles_that_wait(), site.caller.raw() as sock:
        sock.sendall(site.caller.head(body, f"Content-Length: {len(body)}") + body)
        site.wait_for("transactionid")
    last = "SELECT call_id::text FROM billing_debit ORDER BY created_at DESC LIMIT 1"
    assert site.end_of(str(site.ask(last)[0][0])) == ("returned", errors.BODY_INCOMPLETE, 0)


@pytest.mark.race
def test_with_a_full_valkey_only_an_answer_with_code_0_is_charged(site: Fragile) -> None:
    client = valkey.client()
    before = client.config_get("maxmemory")["maxmemory"]

    def send() -> tuple[int, str]:
        answer = site.caller.call([inline(encode())], Idempotency_Key=f"full {time.time()}".replace(" ", "-"))
        return answer.code, answer.headers["X-Request-Id"]

    with site.settles_that_wait():
        call = site.threads.submit(send)
        site.wait_for("transactionid")
        client.config_set("maxmemory", 1)
    try:
        code, call_id = call.result()
    finally:
        client.config_set("maxmemory", before)
    assert site.end_of(call_id) == (("settled", 0, 1) if code == 0 else ("returned", code, 0))


@pytest.mark.race
def test_the_answers_of_a_killed_web_process_are_charged(site: Fragile) -> None:
    ids = []
    for _round in range(3):
        code, call_id = site.call()()
        assert code == 0
        ids.append(call_id)
        wait_until(partial(site.has_noted, call_id), timeout_s=10, what="the note of the answer")
        for child in psutil.Process(site.web.pid).children():
            child.kill()
        wait_until(
            lambda: responds(f"http://{site.caller.address}/readyz"), timeout_s=30, what="another process"
        )
    for call_id in ids:
        assert site.end_of(call_id) == ("settled", 0, 1)


@pytest.mark.race
def test_a_stopping_web_process_confirms_its_answers(site: Fragile) -> None:
    code, call_id = site.call()()
    assert code == 0
    site.web.stop()
    try:
        assert site.ask("SELECT state FROM billing_debit WHERE call_id = %s", call_id) == [("settled",)]
    finally:
        site.web.start()
        wait_until(lambda: responds(f"http://{site.caller.address}/readyz"), timeout_s=60, what="the site")
