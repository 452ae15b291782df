"""`manage.py seed_demo --json`: create the demo customer, its App and an operator; safe to repeat."""

import json
import os
from argparse import ArgumentParser

from django.core.management.base import BaseCommand
from django.utils import timezone

from billing.management import demo


class Command(BaseCommand):
    help = (
        "Create the demo customer, App and operator unless they exist. Passwords come from "
        "FACECLOUD_PASSWORD and FACECLOUD_OPERATOR_PASSWORD or are random; only those set by this run "
        "are printed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")

    def handle(self, *args: object, **options: object) -> None:
        made = demo.seed(
            timezone.now(),
            password=os.environ.get("FACECLOUD_PASSWORD", ""),
            operator_password=os.environ.get("FACECLOUD_OPERATOR_PASSWORD", ""),
        )
        if options["json"]:
            self.stdout.write(json.dumps(made))
        else:
            self.stdout.write("\n".join(f"{name}={value}" for name, value in made.items()))
