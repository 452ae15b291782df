"""Additional checks of `manage.py check --deploy`: secrets, services, models, scheduled tasks.

The checks of a running installation (Valkey, PostgreSQL, workers, beat) have only the tag `deploy`, so that
`manage.py check` needs no service.
"""

import importlib.util
from collections.abc import Callable, Iterable
from typing import Any

import redis
from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError, connection, connections
from django.db.migrations.executor import MigrationExecutor

from accounts import regions
from accounts.models import Region
from common import clock, valkey
from common.celery import schedule
from facecloud import squashed
from facecloud.database_role import can_rewrite_history
from inference.models import registry
from inference.worker import exchange

Check = Callable[..., list[CheckMessage]]
FERNET = 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
WEAK = ("secret", "password", "changeme", "change-me", "django-insecure", "example", "test")


def of_deployment(check: Callable[[], Iterable[CheckMessage]]) -> Check:
    """Register a function without arguments as a check of `--deploy`."""

    def run(app_configs: Any, **_options: Any) -> list[CheckMessage]:
        return list(check())

    run.__name__ = check.__name__
    register(run, Tags.security, deploy=True)
    return run


@of_deployment
def secret_key() -> Iterable[CheckMessage]:
    """Check the key that signs sessions and forms."""
    key = settings.SECRET_KEY
    if len(key) < 50 or len(set(key)) < 10 or any(word in key.lower() for word in WEAK):
        yield Error(
            "DJANGO_SECRET_KEY is weak.",
            hint='Use 50 random characters: python -c "import secrets; print(secrets.token_urlsafe(50))"',
            id="facecloud.E001",
        )


@of_deployment
def encryption_key() -> Iterable[CheckMessage]:
    """Check the keys that encrypt the customers' SecretKeys."""
    if not settings.ENCRYPTION_KEYS:
        yield Error(
            "ENCRYPTION_KEY is missing: SecretKeys cannot be stored.", hint=FERNET, id="facecloud.E002"
        )
    for position, key in enumerate(settings.ENCRYPTION_KEYS):
        try:
            Fernet(key)
        except ValueError:
            yield Error(f"ENCRYPTION_KEY {position} is not a Fernet key.", hint=FERNET, id="facecloud.E003")


@of_deployment
def links_and_mails() -> Iterable[CheckMessage]:
    """Check that mails can be sent and that their links lead to this site."""
    if not settings.SITE_URL:
        yield Error(
            "SITE_URL is missing: links in mails may not work.",
            hint="Set it to the address of the site, such as https://face.example.com",
            id="facecloud.E009",
        )
    elif settings.SECURE_COOKIES and not settings.SITE_URL.startswith("https://"):
        yield Error("SITE_URL is not https, but SECURE_COOKIES is set.", id="facecloud.E010")
    backend = settings.EMAIL_BACKEND
    if any(kind in backend for kind in ("console", "Folder", "Log", "filebased", "locmem", "dummy")):
        yield Warning(
            f"EMAIL_URL does not specify a mail server: {backend} is in use, and neither notices nor "
            "password links are delivered.",
            hint="Set EMAIL_URL, such as smtp://user:password@host:587/?tls=True",
            id="facecloud.W002",
        )


def _ready_workers(client: redis.Redis) -> list[exchange.Worker]:
    return exchange.workers(client, now_s=clock.now_s(client))


def _is_a_worker_ready() -> bool:
    try:
        return bool(_ready_workers(valkey.client()))
    except (redis.RedisError, ValueError):  # facecloud.E006
        return False


@of_deployment
def models() -> Iterable[CheckMessage]:
    """Check that the model files exist; inference.models.setup checks their hashes.

    They may be on other machines: a worker that is ready has loaded them, and without onnxruntime, as in the
    image `facecloud`, no worker can run here.
    """
    if importlib.util.find_spec("onnxruntime") is None or _is_a_worker_ready():
        return
    missing = [file.file for file in registry.FILES if not (settings.MODELS_DIR / file.file).is_file()]
    if missing:
        yield Error(
            f"Models are missing in MODELS_DIR: {', '.join(missing)}.",
            hint=f"Run: python -m inference.models.setup --models {settings.MODELS_DIR}",
            id="facecloud.E004",
        )


@of_deployment
def database() -> Iterable[CheckMessage]:
    """Check that PostgreSQL accepts connections."""
    try:
        connection.ensure_connection()
    except DatabaseError:
        yield Error("PostgreSQL does not respond.", hint="Check DATABASE_URL.", id="facecloud.E005")


@register(Tags.database)
def replaced_migrations(databases: Iterable[str] | None = None, **_options: Any) -> list[CheckMessage]:
    """Check that this version can migrate the database.

    Part of `migrate`, `showmigrations` and `check --database default`.
    """
    found = [squashed.fault(connections[alias]) for alias in databases or ()]
    return [Error(sentence, id="facecloud.E012") for sentence in found if sentence]


@of_deployment
def migrations() -> Iterable[CheckMessage]:
    """Check that all migrations are applied."""
    try:
        if sentence := squashed.fault(connection):
            yield Error(sentence, id="facecloud.E012")
            return
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return  # facecloud.E005
    if plan:
        yield Error(
            f"{len(plan)} migrations are not applied; the first is {plan[0][0]}.",
            hint="Run: python manage.py migrate",
            id="facecloud.E011",
        )


@of_deployment
def database_role() -> Iterable[CheckMessage]:
    """Check that the application is not the owner of its tables."""
    try:
        if can_rewrite_history():
            yield Warning(
                "The role of DATABASE_URL owns the tables: it can empty the ledgers and drop their triggers.",
                hint="Give the application its own role: DATABASE_OWNER_URL in docs/operators/operations.md.",
                id="facecloud.W003",
            )
    except DatabaseError:
        return  # no database or no tables yet: facecloud.E005 or `migrate` reports that


def _regions_in_use() -> list[Region]:
    try:
        return list(regions.in_use())
    except DatabaseError:  # facecloud.E005, or tables that do not exist before `migrate`
        return []


@of_deployment
def workers_and_schedule() -> Iterable[CheckMessage]:
    """Check that Valkey responds, a worker is warm and the scheduled tasks run."""
    try:
        client = valkey.client()
        alive = _ready_workers(client)
        descriptions = exchange.about(client, [worker.id for worker in alive])
        served = {queue for of_worker in descriptions for queue in exchange.queues_of(of_worker)}
        age_s = schedule.age_s()
        policy = str(client.info("memory").get("maxmemory_policy", ""))
    except (redis.RedisError, ValueError):  # ValueError: REDIS_URL is invalid
        yield Error("Valkey does not respond.", hint="Check REDIS_URL.", id="facecloud.E006")
        return
    if policy and policy != "noeviction":
        yield Warning(
            f"Valkey may evict pictures and tasks (maxmemory-policy {policy}).",
            hint="Set maxmemory-policy noeviction.",
            id="facecloud.W001",
        )
    unserved = regions.without_worker(_regions_in_use(), served)
    if alive and unserved:
        yield Warning(
            f"No worker takes from the queue of these regions: {', '.join(map(str, unserved))}.",
            hint="Set WORKER_QUEUES of a worker, or the region's queue in the catalogue.",
            id="facecloud.W004",
        )
    if not alive:
        yield Error(
            "No inference worker is ready: every call is rejected with 5003.",
            hint="Start one: celery --app inference worker",
            id="facecloud.E007",
        )
    if age_s is None or age_s > schedule.LATE_AFTER_S:
        yield Error(
            "The scheduled tasks do not run: unpaid orders, dead calls and notices are not processed.",
            hint="Start one beat (celery -A facecloud beat), and a worker with --queues scheduled.",
            id="facecloud.E008",
        )
