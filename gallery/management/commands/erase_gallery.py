"""`manage.py erase_gallery (--app APP_ID | --customer USERNAME)`: delete stored faces for a customer."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import App
from common.postgresql.clock import now
from gallery import groups
from gallery.trail import SYSTEM


class Command(BaseCommand):
    help = (
        "Delete every face group of an App or of a customer, with all persons, faces and keys: for a closed "
        "account, or at the request of a customer who can't log in. It cannot be undone."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--app", help="the App's id")
        whose.add_argument("--customer", help="the customer's user name: all of the customer's Apps")
        parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["app"]:
            apps = App.objects.filter(app_id=options["app"])
        else:
            apps = App.objects.filter(customer__username=options["customer"])
        if not apps:
            raise CommandError("The App or the customer does not exist, or the customer has no App.")
        names = ", ".join(app.app_id for app in apps)
        if not options["yes"] and input(f"Delete all faces of {names}? Type yes: ") != "yes":
            raise CommandError("Nothing was deleted.")
        faces = groups.delete_all(apps, now(), SYSTEM)
        self.stdout.write(f"faces deleted from {names}: {faces}")
