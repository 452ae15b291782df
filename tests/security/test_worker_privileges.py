"""The process that decodes untrusted files has no key, no password and no access to the database."""

import subprocess
import sys
from pathlib import Path

from embedded.services.managed_process import Process
from embedded.site import worker_environment
from tests.conftest import REPOSITORY

SECRETS = {
    "DJANGO_SECRET_KEY": "a-secret-key",
    "ENCRYPTION_KEY": "an-encryption-key",
    "DATABASE_URL": "postgres://facecloud:a-password@db/facecloud",
    "DATABASE_OWNER_URL": "postgres://owner:a-password@db/facecloud",
    "EMAIL_URL": "smtp://user:a-password@mail:587",
    "METRICS_TOKEN": "a-token",
    "FACECLOUD_PASSWORD": "a-password",
    "FACECLOUD_OPERATOR_PASSWORD": "a-password",
    "SOMETHING_OF_THE_HOST": "a-token",
}

# What a worker has loaded once it is ready for work, and what it could read of the settings.
LOADED = """
import sys
import inference.celery
inference.celery.app.loader.import_default_modules()
from django.apps import apps
from django.conf import settings
print(settings.SETTINGS_MODULE)
print(repr(settings.DATABASES), apps.ready)
rooms = ("accounts", "billing", "console", "faceapi", "gallery")
print([name for name in sys.modules if name.partition(".")[0] in rooms])
try:
    settings.SECRET_KEY
except Exception as error:
    print(type(error).__name__)
print(hasattr(settings, "ENCRYPTION_KEYS"))
"""


def test_the_running_worker_has_no_secret_in_its_environment(
    worker: Process, product_environment: dict[str, str]
) -> None:
    environment = Path(f"/proc/{worker.pid}/environ").read_bytes()
    names = {pair.partition(b"=")[0].decode() for pair in environment.split(b"\0")}
    assert "REDIS_URL" in names
    assert names & {*SECRETS, "DJANGO_SETTINGS_MODULE"} == set()
    for name in ("DJANGO_SECRET_KEY", "ENCRYPTION_KEY", "DATABASE_URL"):
        assert product_environment[name].encode() not in environment


def test_only_listed_variables_reach_a_worker() -> None:
    kept = {"PATH": "/bin", "REDIS_URL": "unix:///x", "WORKER_POOL": "prefork", "OMP_NUM_THREADS": "1"}
    assert worker_environment({**SECRETS, **kept}) == kept


def test_a_worker_loads_no_django_app_and_has_no_database(tmp_path: Path) -> None:
    """Even if the environment contains the secrets and names the settings of the web process."""
    environment = {"PATH": "/usr/bin:/bin", "REDIS_URL": "redis://127.0.0.1:1/0", "HOME": str(tmp_path)}
    environment |= {**SECRETS, "DJANGO_SETTINGS_MODULE": "facecloud.settings"}
    done = subprocess.run(
        [sys.executable, "-c", LOADED],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    module, databases, rooms, secret_key, has_keys = done.stdout.splitlines()
    assert module == "facecloud.settings_worker"
    assert databases == "{} False"
    assert rooms == "[]"
    assert secret_key == "ImproperlyConfigured"
    assert has_keys == "False"
