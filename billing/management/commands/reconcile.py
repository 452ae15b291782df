"""`manage.py reconcile [--all]`: prove the books, print and record the result; exit 1 on a break."""

import sys

from django.core.management.base import BaseCommand, CommandParser

from billing.books import reconcile
from common.postgresql import clock


class Command(BaseCommand):
    help = "Prove that every unit and every fen is accounted for. Prints each check; exits 1 on a break."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--all", action="store_true", help="prove again the days that an earlier run has proved"
        )

    def handle(self, *args: object, **options: object) -> None:
        proofs = reconcile.run_and_record(clock.now(), anew=bool(options["all"]))
        for proof in proofs:
            self.stdout.write(f"{'BREAK' if proof.breaks else 'ok   '} {proof.sentence}")
            for broken in proof.breaks:
                self.stdout.write(f"      {broken.row}: {broken.detail}")
        breaks = sum(len(proof.breaks) for proof in proofs)
        self.stdout.write(f"{len(proofs)} checks, {breaks} breaks")
        if breaks:
            sys.exit(1)
