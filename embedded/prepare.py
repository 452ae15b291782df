"""`python -m embedded.prepare URL`: create tables, catalogue and the demo customer in one process.

Writes the demo's current keys and passwords to var/demo.env, except passwords that were changed, which are
unknown. The passwords are saved in var/secrets.env before they are set in the database, so that a start that
is killed in between loses nothing.
"""

import io
import json
import os
import sys
from collections.abc import Mapping

import django
import redis
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import OperationalError, connection

from common import valkey
from embedded.environment import DEMO_PASSWORDS, secret_values, write_env
from embedded.paths import here
from facecloud import squashed

PASSWORDS = {
    "FACECLOUD_USER": "FACECLOUD_PASSWORD",
    "FACECLOUD_OPERATOR": "FACECLOUD_OPERATOR_PASSWORD",
}
NOTE = """\
# 最近一次 bin/start 时的值；改过的密码不在其中，设新密码：bin/manage changepassword demo
# As of the last bin/start, without changed passwords. To set a new one: bin/manage changepassword demo
"""


def main(url: str) -> None:
    paths = here()
    passwords = secret_values(paths.secrets, DEMO_PASSWORDS)
    os.environ.update(passwords)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "facecloud.settings")
    try:
        django.setup()
    except ImproperlyConfigured as error:
        sys.exit(f"A setting in the environment or in .env is wrong: {error}")
    check_services()
    if sentence := squashed.fault(connection):
        sys.exit(sentence)
    call_command("migrate", interactive=False)
    if settings.STATIC_MANIFEST:
        call_command("collectstatic", interactive=False, verbosity=0)
    output = io.StringIO()
    try:
        call_command("seed_demo", "--json", stdout=output)
    except InvalidToken:
        sys.exit(
            "ENCRYPTION_KEY does not match the SecretKeys in this database: "
            "append the old key, separated by a comma."
        )
    demo = {"FACECLOUD_URL": url} | passwords | json.loads(output.getvalue())
    write_env(paths.demo, without_changed_passwords(demo), NOTE)


def without_changed_passwords(demo: Mapping[str, str]) -> dict[str, str]:
    """Return `demo` without the passwords that have been changed since, for example in the console."""
    users = get_user_model().objects
    changed = [
        password
        for user, password in PASSWORDS.items()
        if not users.get(username=demo[user]).check_password(demo[password])
    ]
    return {name: value for name, value in demo.items() if name not in changed}


def check_services() -> None:
    """Exit with one sentence if the services of DATABASE_URL or REDIS_URL do not answer."""
    try:
        connection.ensure_connection()
        valkey.client().ping()
    except OperationalError as error:
        sys.exit(f"The database of DATABASE_URL can't be reached: {str(error).partition(chr(10))[0]}")
    except (redis.RedisError, ValueError) as error:  # ValueError: not a URL
        sys.exit(f"The Valkey or Redis of REDIS_URL can't be reached: {error}")


if __name__ == "__main__":
    main(sys.argv[1])
