"""The product on several hosts, with faults of the network, of hosts and of clocks: `bin/bench hosts`.

Two web processes, three workers, the scheduled tasks, PostgreSQL, two Valkeys under three Sentinels, and
nginx as the load balancer, each in a network namespace, are connected by a switch in user space
(bench/hosts/network.py). Needs root, /dev/net/tun, iproute2, nginx and the packages of `bin/install --dev`;
it is not part of the CI.

Signed load goes through nginx. Each scenario holds its fault, heals it, and waits until calls are served
again; its row has the codes that clients got and the slowest answer, with the limits. At the end, the units
of the answers that arrived must equal the units that were charged.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.chaos import CONFIRM_TIMEOUT_S, SWEEP, SWEEP_TIMEOUT_S, grey_picture, ledger
from bench.chaos.load import CLIENT_TIMEOUT_S, HUNG_UP, NO_ANSWER, Load, Record, Sent
from bench.engine.speed import sample_pictures
from bench.hosts.cluster import MODELS, Cluster, running_cluster
from bench.output import Report, Section

RECOVERY_TIMEOUT_S = 120.0
PRIMARY = "primary"  # the one of the two Valkeys that is the primary
OUTAGE = frozenset({"0", "4292", "5003", "5004"})  # codes that callers may get while a service is down
LOST_WEB = OUTAGE | {NO_ANSWER, "HTTP 502", "HTTP 504"}  # the last two are nginx's


@dataclass(frozen=True)
class Scenario:
    """A fault that is held for `hold_s`, with the codes and the longest answer time that it may cause.

    `transit_s` is the longest time that the end of a connection may take to reach the web process.
    `is_over` returns whether the effects have ended; some last longer than the fault.
    """

    name: str
    fault: Callable[[Cluster], AbstractContextManager[None]]
    hold_s: float
    codes: frozenset[str]
    slowest_s: float
    transit_s: float = ledger.TRANSIT_S
    is_over: Callable[[Cluster], bool] = lambda cluster: True


@contextlib.contextmanager
def nothing(cluster: Cluster) -> Iterator[None]:
    yield


def cut(*some: str, from_: tuple[str, ...] = ()) -> Callable[[Cluster], AbstractContextManager[None]]:
    return lambda cluster: cluster.network.partition(list(some), list(from_) or None)


@contextlib.contextmanager
def cut_off_primary(cluster: Cluster) -> Iterator[None]:
    with cluster.network.partition([cluster.primary()]):
        yield


def impair(**how: float) -> Callable[[Cluster], AbstractContextManager[None]]:
    return lambda cluster: cluster.network.impaired(**how)


def lose(name: str) -> Callable[[Cluster], AbstractContextManager[None]]:
    """End the host's processes and its network; restart it afterwards with its disk."""

    @contextlib.contextmanager
    def lost(cluster: Cluster) -> Iterator[None]:
        host = cluster.primary() if name == PRIMARY else name
        with cluster.network.partition([host]):
            cluster.lose(host)
            yield
        cluster.up(host)

    return lost


def shift(**seconds: float) -> Callable[[Cluster], AbstractContextManager[None]]:
    """Restart hosts with wrong clocks, and afterwards with the right time."""

    @contextlib.contextmanager
    def shifted(cluster: Cluster) -> Iterator[None]:
        for name, shift_s in seconds.items():
            cluster.restart(name, shift_s)
        cluster.wait_ready("web1")
        cluster.wait_ready("web2")
        yield
        for name in seconds:
            cluster.restart(name)

    return shifted


SERVED = frozenset({"0"})
SCENARIOS = (
    Scenario("no fault", nothing, 20, SERVED, 10),
    Scenario("a worker is cut off", cut("worker1"), 30, SERVED | {"5004"}, 40),
    Scenario("a web host is cut off from PostgreSQL", cut("web1", from_=("postgres",)), 30, OUTAGE, 40),
    Scenario("a web host is cut off from everything", cut("web1"), 30, LOST_WEB, 70),
    Scenario("PostgreSQL is cut off", cut("postgres"), 30, OUTAGE, 40),
    Scenario(
        "Valkey's primary is cut off: Sentinel fails over",
        cut_off_primary,
        30,
        OUTAGE,
        40,
        is_over=Cluster.has_one_primary,
    ),
    Scenario("the scheduled work is cut off", cut("beat"), 30, SERVED, 10),
    Scenario("5 % of all frames are lost, each way", impair(loss=0.05), 60, OUTAGE, 40, 1.5),
    Scenario("every round trip takes 300 ms more", impair(delay_s=0.15), 60, OUTAGE, 40, 0.5),
    Scenario("a worker host is lost", lose("worker2"), 30, SERVED | {"5004"}, 40),
    Scenario("a web host is lost", lose("web2"), 30, LOST_WEB, 70),
    Scenario("PostgreSQL's host is lost", lose("postgres"), 30, OUTAGE, 40),
    Scenario(
        "the host of Valkey's primary is lost: Sentinel fails over",
        lose(PRIMARY),
        30,
        OUTAGE,
        40,
        is_over=Cluster.has_one_primary,
    ),
    Scenario(
        "clocks: web1 and worker1 10 min ahead, web2 and worker2 10 min behind",
        shift(web1=600, worker1=600, web2=-600, worker2=-600),
        60,
        LOST_WEB,
        70,
    ),
)


def main() -> int:
    arguments = parse()
    if reason := missing():
        print(f"bin/bench hosts: {reason}", file=sys.stderr)
        return 1
    chosen = [one for one in SCENARIOS if any(part in one.name for part in arguments.only or [""])]
    from inference.models.setup import ensure_models

    ensure_models(MODELS)
    record, report = Record(arguments.record), Report("hosts")
    with running_cluster(arguments.seed, keep=arguments.logs) as cluster:
        passed = run(cluster, chosen, record, report, arguments)
    record.close()
    return 0 if passed else 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bin/bench hosts", description=__doc__.partition("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--only", action="append", help="scenarios whose name contains this (repeatable)")
    parser.add_argument("--sweep-now", action="store_true", help="sweep as if 10 minutes had passed")
    parser.add_argument("--record", type=Path, help="write the clients' answers as lines of JSON")
    parser.add_argument("--logs", type=Path, help="keep the logs of all hosts in this folder")
    return parser.parse_args()


def missing() -> str:
    """Return what is missing on this machine, or an empty text."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    if not Path("/dev/net/tun").exists():
        return "/dev/net/tun is missing"
    for program, package in (("ip", "iproute2"), ("nginx", "nginx")):
        if shutil.which(program) is None:
            return f"{program} is missing (on Debian and Ubuntu: apt install {package})"
    return ""


def run(
    cluster: Cluster, scenarios: list[Scenario], record: Record, report: Report, arguments: argparse.Namespace
) -> bool:
    started_at = time.time()
    load = Load(
        [cluster.address],
        cluster.key,
        cluster.secret,
        sample_pictures(MODELS)["250x250"],
        grey_picture(),
        record,
        clients=arguments.clients,
        seed=arguments.seed,
        pause_s=0.2,
    )
    rows, passed = [], True
    spans = []
    load.start()
    try:
        cluster.wait(60, until=lambda: record.last_success_at > started_at)
        for scenario in scenarios:
            began_at = time.time()
            with scenario.fault(cluster):
                cluster.wait(scenario.hold_s)
            healed_at = time.time()
            recovered_s = cluster.wait(RECOVERY_TIMEOUT_S, until=partial(is_served, record, healed_at))
            cluster.wait(RECOVERY_TIMEOUT_S, until=partial(scenario.is_over, cluster))
            cluster.wait(10)
            # A call that the fault delays must not count for the next one.
            cluster.wait(CLIENT_TIMEOUT_S, until=partial(load.has_completed_calls_before, healed_at))
            spans.append((scenario, began_at, time.time(), recovered_s))
            print(f"{scenario.name}: served again after {recovered_s:.1f} s", flush=True)
    finally:
        load.stop()
    for scenario, began_at, ended_at, recovered_s in spans:
        sent = [one for one in record.sent if began_at <= one.sent_at + one.took_s < ended_at]
        sent = [one for one in sent if one.fault != HUNG_UP]
        row, is_allowed = judged(scenario, sent, recovered_s)
        print(" | ".join(str(round(cell, 1) if isinstance(cell, float) else cell) for cell in row))
        rows.append(row)
        passed = passed and is_allowed
    section = Section("answers while it lasted and until 10 s after")
    columns = ["fault", "s", "answers", "slowest s", "served again s", "as stated"]
    section.table("scenarios", columns, rows)
    report.add(section)

    def transit_s(hung_up_at: float) -> float:
        during = [scenario for scenario, began_at, ended_at, _ in spans if began_at <= hung_up_at < ended_at]
        return max((scenario.transit_s for scenario in during), default=ledger.TRANSIT_S)

    return proved(cluster, record, report, started_at, transit_s, sweep_now=arguments.sweep_now) and passed


def is_served(record: Record, since: float) -> bool:
    """Return whether a call that was sent since then was answered with code 0."""
    return record.last_success_at > since


def judged(scenario: Scenario, sent: list[Sent], recovered_s: float) -> tuple[list[str | float | int], bool]:
    """Return the scenario's row, and whether its codes and times are within the limits."""
    codes = Counter(one.fault or str(one.code) for one in sent)
    slowest = {
        code: max(one.took_s for one in sent if (one.fault or str(one.code)) == code) for code in codes
    }
    is_allowed = (
        set(codes) <= scenario.codes
        and all(took_s <= scenario.slowest_s for took_s in slowest.values())
        and recovered_s < RECOVERY_TIMEOUT_S
    )
    answers = ", ".join(f"{code}: {count} (≤ {slowest[code]:.1f} s)" for code, count in codes.most_common())
    longest = max(slowest.values(), default=0.0)
    is_stated = "yes" if is_allowed else "NO"
    return [scenario.name, scenario.hold_s, answers, longest, recovered_s, is_stated], is_allowed


def proved(
    cluster: Cluster,
    record: Record,
    report: Report,
    since: float,
    transit_s: Callable[[float], float],
    *,
    sweep_now: bool,
) -> bool:
    """Wait until every debit has ended, and compare the two counts."""
    cluster.wait(CONFIRM_TIMEOUT_S, until=lambda: not ledger.unconfirmed(cluster, record.sent))
    if sweep_now:
        cluster.manage("shell", "-c", SWEEP).check_returncode()
    cluster.wait(SWEEP_TIMEOUT_S, until=lambda: not ledger.open_debits(cluster))
    found = ledger.compare(record.sent, cluster, since, transit_s)
    reconciled = cluster.manage("reconcile")
    section = Section("the clients' count against the ledger")
    section.value("requests", len(record.sent))
    section.value("units in answers that arrived", found.answered_units)
    section.value("units charged", found.charged_units)
    section.value("units of answers that came with a repeat of their key", found.by_repeat)
    section.value("units of answers in transit when the client hung up", found.in_transit)
    section.value("difference", found.difference, "charged less answered")
    section.value("calls charged and not answered", len(found.against_the_customer))
    section.value("calls answered and not charged", len(found.in_their_favour))
    section.value("debits still open", ledger.open_debits(cluster), "must be 0")
    section.value("reconcile", "no break" if reconciled.returncode == 0 else reconciled.stdout[-500:])
    report.add(section)
    for call_id, (told, taken) in (found.against_the_customer | found.in_their_favour).items():
        print(f"differs: {call_id} answered {told}, charged {taken}")
    return not (found.against_the_customer or found.in_their_favour or reconciled.returncode)


if __name__ == "__main__":
    sys.exit(main())
