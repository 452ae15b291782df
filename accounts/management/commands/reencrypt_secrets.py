"""`manage.py reencrypt_secrets`: run after adding a new ENCRYPTION_KEY; then remove the old one."""

import sys

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils.module_loading import import_string

from accounts.keys import Reencryption


class Command(BaseCommand):
    help = "Encrypt every stored secret with the first ENCRYPTION_KEY; exits 1 if one cannot be decrypted."

    def handle(self, *args: object, **options: object) -> None:
        done = sum((import_string(path)() for path in settings.REENCRYPTED), Reencryption())
        self.stdout.write(f"{done.renewed} re-encrypted, {done.current} already under the newest key")
        if done.unreadable:
            self.stderr.write(f"{done.unreadable} match no key of ENCRYPTION_KEY: restore the missing key")
            sys.exit(1)
