"""`manage.py reencrypt_secrets`: run after adding a new ENCRYPTION_KEY; then remove the old one."""

import sys

from django.core.management.base import BaseCommand

from accounts import keys


class Command(BaseCommand):
    help = "Encrypt every stored SecretKey with the first ENCRYPTION_KEY; exits 1 if one cannot be decrypted."

    def handle(self, *args: object, **options: object) -> None:
        done = keys.reencrypt()
        self.stdout.write(f"{done.renewed} re-encrypted, {done.current} already under the newest key")
        if done.unreadable:
            self.stderr.write(f"{done.unreadable} match no key of ENCRYPTION_KEY: restore the missing key")
            sys.exit(1)
