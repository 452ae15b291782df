"""Random faults under signed load, then a comparison of answers and ledger: `bin/bench chaos`.

The whole product runs on its own services. Clients call all three APIs, with and without Idempotency-Keys,
and some hang up; they record the units that each answer states. Meanwhile each round injects a fault
(bench/chaos/faults.py), heals it, and waits for the first call that succeeds again. About every third round
begins before that. At the end, the units of the answers that arrived must be the units that were charged,
call by call, and `reconcile` must find no break.

The same --seed gives the same faults in the same order; their effect also depends on the machine.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from bench.chaos import ledger
from bench.chaos.faults import AWAY, FAULTS, Fault
from bench.chaos.load import Load, Record
from bench.chaos.site import MODELS, Site, running_site
from bench.engine.speed import sample_pictures
from bench.output import Report, Section

RECOVERY_TIMEOUT_S = 90.0
CONFIRM_TIMEOUT_S = 45.0  # another process adopts the notes of a killed process within 15 s
SWEEP_TIMEOUT_S = 420.0  # a hold lasts 4 minutes at most, and the sweeps run each minute
NEAR_S = 3.0
SWEEP = """
from datetime import timedelta
from billing import quota
from faceapi import calls
from common.postgresql.clock import now
later = now() + timedelta(minutes=10)
print(quota.sweep(later), calls.withdraw_unconfirmed(later))
"""


def main() -> int:
    arguments = parse()
    chosen = [fault for fault in FAULTS if any(part in fault.name for part in arguments.only or [""])]
    if not chosen:
        raise SystemExit(f"--only matches none of: {', '.join(fault.name for fault in FAULTS)}")
    from inference.models.setup import ensure_models

    ensure_models(MODELS)
    record = Record(arguments.record)
    report = Report("chaos", quiet=arguments.json)
    with running_site(keep=arguments.logs) as site:
        run = Run(site, record, random.Random(arguments.seed), quiet=arguments.json)
        run.rounds(chosen, arguments)
        passed = run.prove(report, sweep_now=arguments.sweep_now)
    record.close()
    if arguments.json:
        print(report.to_json())
    return 0 if passed else 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bin/bench chaos", description=__doc__.partition("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--only", action="append", help="only faults whose name contains this (repeatable)")
    parser.add_argument("--each", action="store_true", help="run the chosen faults in order, not at random")
    parser.add_argument("--sweep-now", action="store_true", help="sweep as if 10 minutes had passed")
    parser.add_argument("--record", type=Path, help="write the clients' answers as lines of JSON")
    parser.add_argument("--logs", type=Path, help="keep the logs of the processes in this folder")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    return parser.parse_args()


class Run:
    """Rounds of faults on one site, and the comparison at the end."""

    def __init__(self, site: Site, record: Record, rng: random.Random, *, quiet: bool) -> None:
        self._site, self._record, self._rng, self._quiet = site, record, rng, quiet
        self._started = time.time()
        self._recovered_s: dict[str, list[float]] = defaultdict(list)
        self._skipped: set[str] = set()
        self._stuck: list[str] = []
        self._web_died_at: list[float] = []

    def rounds(self, faults: list[Fault], arguments: argparse.Namespace) -> None:
        pictures = sample_pictures(MODELS)
        load = Load(
            [self._site.address],
            self._site.key,
            self._site.secret,
            pictures["250x250"],
            grey_picture(),
            self._record,
            clients=arguments.clients,
            seed=arguments.seed,
        )
        load.start()
        try:
            self._recover("start")
            for number in range(arguments.rounds):
                fault = faults[number % len(faults)] if arguments.each else self._rng.choice(faults)
                self._round(number, fault, must_recover=number == arguments.rounds - 1)
        finally:
            load.stop()

    def _round(self, number: int, fault: Fault, *, must_recover: bool) -> None:
        if fault.needs_disk and not self._site.is_mounted:
            self._skipped.add(fault.name)
            self._say(f"{number:4}  {fault.name}: skipped, only root can mount a small disk")
            return
        began, began_at = time.monotonic(), time.time()
        note = ""
        try:
            fault.inject(self._site, self._rng)
        except (*AWAY, IndexError) as error:  # the previous fault has not healed, so there is no target
            note = f"  not injected: {type(error).__name__}"
        held_s = time.monotonic() - began
        if fault.ends_web:
            self._web_died_at.append(began_at + held_s)
        if must_recover or self._rng.random() < 0.7:
            note = f"  served again after {self._recover(fault.name, count=not note):5.1f} s{note}"
        self._say(f"{number:4}  {fault.name:46} {held_s:5.1f} s{note}")
        self._site.wait(self._rng.uniform(0, 1.5))

    def _recover(self, name: str, *, count: bool = True) -> float:
        """Wait for a call that is sent from now on and answered with code 0."""
        healed_at = time.time()
        took_s = self._site.wait(RECOVERY_TIMEOUT_S, until=lambda: self._record.last_success_at > healed_at)
        if took_s >= RECOVERY_TIMEOUT_S:
            self._stuck.append(name)
        if count:
            self._recovered_s[name].append(took_s)
        return took_s

    def prove(self, report: Report, *, sweep_now: bool) -> bool:
        """Wait until every debit has ended, compare the two counts, and run `reconcile`."""
        site, sent = self._site, self._record.sent
        site.wait(CONFIRM_TIMEOUT_S, until=lambda: not ledger.unconfirmed(site, sent))
        before = ledger.open_debits(site)
        if sweep_now:
            site.manage("shell", "-c", SWEEP).check_returncode()
        swept_s = site.wait(SWEEP_TIMEOUT_S, until=lambda: not ledger.open_debits(site))
        left = ledger.open_debits(site)
        arrived = {one.call_id: one.sent_at + one.took_s for one in sent}
        found = ledger.compare(sent, site, self._started)
        reconciled = site.manage("reconcile")
        section = Section("the clients' count against the ledger")
        section.value("requests", len(sent))
        section.value("calls that took units", found.calls)
        section.value("units in answers that arrived", found.answered_units)
        section.value("units charged", found.charged_units)
        section.value("units of answers that came with a repeat of their key", found.by_repeat)
        section.value("units of answers in transit when the client hung up", found.in_transit)
        section.value("difference", found.difference, "charged less answered")
        section.value("calls charged and not answered", len(found.against_the_customer), "must be 0")
        unexplained = [one for one in found.in_their_favour if not self._web_died_near(arrived[one])]
        section.value("calls answered and not charged", len(found.in_their_favour))
        section.value("of these, while no web process was killed", len(unexplained), "must be 0")
        section.value("debits given back by the sweep", before, f"{swept_s:.0f} s after the last answer")
        section.value("debits still open", left, "must be 0")
        section.value("reconcile", "no break" if reconciled.returncode == 0 else reconciled.stdout[-500:])
        silent = sum(one.fault.startswith("no answer in") for one in sent)
        section.value("requests without any answer in 120 s", silent, "must be 0")
        section.value("rounds without recovery in 90 s", len(self._stuck), "must be 0")
        outcomes = self._record.outcomes()
        section.table("answers", ["code", "requests"], sorted(outcomes.items()))
        section.table("until the first call is served again", ["fault", "rounds", "median s", "worst s"], [
            [name, len(times), statistics.median(times), max(times)]
            for name, times in sorted(self._recovered_s.items())
        ])  # fmt: skip
        details: list[tuple[str, Any]] = [*found.against_the_customer.items(), *found.in_their_favour.items()]
        if details:
            section.table("calls that differ", ["call", "answered", "charged"], [
                [call_id, stated, taken] for call_id, (stated, taken) in details
            ])  # fmt: skip
        report.add(section)
        for name in sorted(self._skipped):
            self._say(f"skipped: {name}")
        return not (
            found.against_the_customer
            or unexplained
            or left
            or reconciled.returncode
            or silent
            or self._stuck
        )

    def _web_died_near(self, moment: float) -> bool:
        """Return whether a web process was killed about then, perhaps between an answer and its note.

        docs/decisions/0023-charge-after-the-answer.md explains why such an answer may be free.
        """
        return any(abs(moment - died_at) < NEAR_S for died_at in self._web_died_at)

    def _say(self, line: str) -> None:
        print(line, file=sys.stderr if self._quiet else sys.stdout, flush=True)


def grey_picture() -> bytes:
    """Return a small picture without a face: the cheapest call that is charged."""
    import cv2
    import numpy as np

    return bytes(cv2.imencode(".jpg", np.full((64, 64, 3), 128, np.uint8))[1])


if __name__ == "__main__":
    sys.exit(main())
