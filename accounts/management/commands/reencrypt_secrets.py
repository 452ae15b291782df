"""`manage.py reencrypt_secrets`: after a new ENCRYPTION_KEY, so that the old one can go."""

import sys

from django.core.management.base import BaseCommand

from accounts import keys


class Command(BaseCommand):
    help = "Encrypt every stored SecretKey with the first ENCRYPTION_KEY; exits 1 where one fits no key."

    def handle(self, *args: object, **options: object) -> None:
        done = keys.reencrypt()
        self.stdout.write(f"{done.renewed} re-encrypted, {done.current} already under the newest key")
        if done.unreadable:
            self.stderr.write(f"{done.unreadable} fit no key of ENCRYPTION_KEY: put the missing key back")
            sys.exit(1)
