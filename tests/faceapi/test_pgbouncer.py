"""The product behind PgBouncer in transaction mode, where sessions are shared."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import psycopg2
import pytest

from accounts import keys
from accounts.models import App
from billing.models import Debit, DebitState
from embedded.services.managed_process import Process
from tests.conftest import REPOSITORY, wait_until
from tests.faceapi.conftest import LIMITS, Caller, encode, inline, running_site

SERVER_CONNECTIONS = 3
CONFIGURATION = """\
[databases]
{name} = host={host} dbname={name} user={role}

[pgbouncer]
listen_addr =
unix_socket_dir = {folder}
unix_socket_mode = 0777
listen_port = 5432
auth_type = any
pool_mode = transaction
default_pool_size = {size}
logfile = {folder}/pgbouncer.log
"""


@pytest.fixture(scope="module")
def behind_pgbouncer(
    transactional_db: None, product_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Yield the environment of a process that reaches the test database through PgBouncer alone."""
    program = shutil.which("pgbouncer")
    if program is None:
        pytest.skip("PgBouncer is not installed (on Debian and Ubuntu: apt install pgbouncer)")
    folder = tmp_path_factory.mktemp("bouncer")
    folder.chmod(0o711)
    place = folder / "run"
    place.mkdir()
    place.chmod(0o777)
    url = urlsplit(product_environment["DATABASE_URL"])
    host, _, name = unquote(url.path).rpartition("/")
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        CONFIGURATION.format(name=name, host=host, role=url.username, folder=place, size=SERVER_CONNECTIONS)
    )
    process = Process(
        "PgBouncer", [program, configuration], log=folder / "out.log", cwd=folder, as_root=False
    )
    process.start()
    environment = product_environment | {
        "DATABASE_URL": f"postgres://{url.username}@/{quote(str(place), safe='')}/{name}",
        "DB_PGBOUNCER": "true",
    }
    try:
        wait_until(lambda: connects(place, name), timeout_s=30, what=str(place / "pgbouncer.log"))
        yield environment
    finally:
        process.stop()


def connects(place: Path, name: str) -> bool:
    try:
        psycopg2.connect(host=str(place), dbname=name, user="anybody").close()
    except psycopg2.OperationalError:
        return False
    return True


def test_calls_are_served_and_charged_over_few_connections(
    worker: Process, behind_pgbouncer: dict[str, str], app: App
) -> None:
    key = app.keys.get()
    with running_site(behind_pgbouncer | LIMITS, "bouncer") as site, ThreadPoolExecutor(8) as pool:
        caller = Caller(site.address, key, keys.secret_of(key))
        answers = list(pool.map(lambda _: caller.call([inline(encode())]), range(40)))
        assert [answer.code for answer in answers] == [0] * 40
        calls = [answer.headers["X-Request-Id"] for answer in answers]
        caller.close()
    settled = Debit.objects.filter(call_id__in=calls, state=DebitState.SETTLED)
    wait_until(lambda: settled.count() == 40, timeout_s=20, what="the confirmations")


def test_migrate_and_reconcile_run_through_pgbouncer(behind_pgbouncer: dict[str, str], now: datetime) -> None:
    for command in (["migrate", "--check"], ["reconcile"]):
        done = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=REPOSITORY,
            env=behind_pgbouncer,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
