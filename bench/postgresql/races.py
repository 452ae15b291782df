"""Concurrent processes on one App's units, and processes killed in the middle of a call.

For tests and benchmarks. Each process is forked and opens its own database connection. Served calls are
reported through a pipe, so that a kill loses no earlier reports.
"""

import os
import random
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.db import connection, connections
from django.utils import timezone

from accounts.models import App, Region, User
from billing import orders, quota
from billing.errors import HoldLost, UsedUp
from billing.models import Api, Debit, DebitState, Period, Sku, Tier

API = Api.FACE_DETECT


def customer_of(name: str) -> User:
    """Return the customer with this user name, created if necessary."""
    user, _made = User.objects.get_or_create(username=name, defaults={"email": f"{name}@example.org"})
    return user


def buy(
    customer: User, *, units: int, at: datetime, app: App | None = None, api: str = API, months: int = 1
) -> App:
    """Add `units` per month to an App (a new one if `app` is None) through a paid order; return the App."""
    sku = Sku.objects.get(api=api, tier=Tier.THOUSAND)
    usual = sku.units_per_month
    Sku.objects.filter(pk=sku.pk).update(units_per_month=units)
    try:
        region = Region.objects.get(code="cn-sh6")
        request = orders.OrderRequest(
            sku, 1, months, app=app, region=region, name="racing", description="racing"
        )
        order = orders.create(customer, request, token=uuid4().hex, at=at)
        bought = orders.pay(order, at).app
    finally:
        Sku.objects.filter(pk=sku.pk).update(units_per_month=usual)
    if bought is None:
        raise RuntimeError("a paid order has an App")
    return bought


class Forked:
    """A child process that runs `work(say)`; lines passed to `say` are read here."""

    def __init__(self, work: Callable[[Callable[[str], None]], None]) -> None:
        connections.close_all()  # a connection must not be shared across the fork
        sys.stdout.flush()
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.close(reading)
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                work(lambda line: _write(writing, line))
                connections.close_all()
                status = 0
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(status)
        os.close(writing)
        self._reading = reading
        self._rest = b""

    def lines(self, until: str = "", timeout_s: float = 120) -> list[str]:
        """Return the child's lines up to one that starts with `until`, or until the child ends."""
        said: list[str] = []
        deadline = time.monotonic() + timeout_s
        while True:
            while b"\n" in self._rest:
                line, self._rest = self._rest.split(b"\n", 1)
                said.append(line.decode())
                if until and said[-1].split()[0] == until:
                    return said
            if not select.select([self._reading], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError(f"the child said nothing for {timeout_s} s")
            if not (more := os.read(self._reading, 65536)):
                return said
            self._rest += more

    def kill(self) -> None:
        """Send SIGKILL; lines reported before it can still be read."""
        os.kill(self.pid, signal.SIGKILL)

    def end(self) -> int:
        """Wait for the child and return its exit status, negative for a signal."""
        os.close(self._reading)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _write(pipe: int, line: str) -> None:
    os.write(pipe, f"{line}\n".encode())


Take = Callable[[App, UUID, int, datetime], bool]


def take(app: App, call_id: UUID, units: int, at: datetime) -> bool:
    """Reserve and settle as faceapi does; return False if the units are used up."""
    try:
        quota.reserve(call_id=call_id, app=app, api=API, images=units, at=at)
    except UsedUp:
        return False
    quota.settle(call_id, at)
    return True


def take_naively(app: App, call_id: UUID, units: int, at: datetime) -> bool:
    """Read, check and write without a lock, as a control that loses the race.

    The product does not contain such code.
    """
    period = Period.objects.filter(quota.live(at), app=app, api=API).order_by("ends_at", "package").first()
    if period is None or period.granted - period.used < units:
        return False
    time.sleep(0.001)  # let another process interleave
    Period.objects.filter(pk=period.pk).update(used=period.used + units)
    return True


def race(app: App, *, processes: int, calls_each: int, units: int, at: datetime, take: Take = take) -> int:
    """Run `processes` concurrently, each making its calls; return the number of served calls."""
    gate_in, gate_out = os.pipe()

    def work(say: Callable[[str], None]) -> None:
        connection.ensure_connection()
        say("ready")
        os.close(gate_out)
        os.read(gate_in, 1)  # until the parent closes its end
        for _i in range(calls_each):
            if take(app, uuid4(), units, at):
                say("served")

    children = [Forked(work) for _i in range(processes)]
    for child in children:
        child.lines(until="ready")
    os.close(gate_in)
    os.close(gate_out)
    served = sum(child.lines().count("served") for child in children)
    statuses = [child.end() for child in children]
    if any(statuses):
        raise RuntimeError("a caller failed; its traceback is above")
    return served


def race_threads(
    app: App, *, threads: int, calls_each: int, units: int, at: datetime, take: Take = take
) -> int:
    """Do the same with threads, each with its own connection; return the number of served calls."""
    gate = threading.Barrier(threads)
    served: list[bool] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            connection.ensure_connection()
            gate.wait(60)
            served.extend(take(app, uuid4(), units, at) for _i in range(calls_each))
        except BaseException as failure:
            failures.append(failure)
            gate.abort()
        finally:
            connections.close_all()

    running = [threading.Thread(target=work) for _i in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if failures:
        raise failures[0]
    return sum(served)


@dataclass
class Rounds:
    """Counts of the crash rounds."""

    killed: int = 0
    answered: int = 0  # calls whose caller reported an answer
    answered_units: int = 0
    settled_unanswered: int = 0  # killed after the settle was on disk, before it was reported
    swept: int = 0
    late: int = 0  # calls whose settle was rejected after the sweep


def _wait_for_the_end_of(backend: int) -> None:
    """Wait until PostgreSQL has ended a killed client's session: until then it may still commit."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [backend])
            if cursor.fetchone() is None:
                return
        time.sleep(0.005)
    raise TimeoutError(f"backend {backend} goes on")


def crash_rounds(app: App, *, rounds: int, seed: int) -> Rounds:
    """Kill `rounds` processes with SIGKILL, at a chosen point of a call or at any moment, then run the sweep.

    The points are between reserve and dispatch, between reply and settle, and (in half of the rounds)
    wherever a random delay of up to 30 ms hits a process that makes calls in a loop.
    """
    dice = random.Random(seed)
    seen = Rounds()

    def work(say: Callable[[str], None]) -> None:
        numbers = random.Random(os.getpid())
        connection.ensure_connection()
        say(f"backend {connection.connection.info.backend_pid}")
        while True:
            call_id, units = uuid4(), numbers.randint(1, 5)
            try:
                quota.reserve(call_id=call_id, app=app, api=API, images=units, at=timezone.now())
            except UsedUp:
                return
            say(f"reserved {call_id}")
            time.sleep(numbers.random() / 100)  # dispatch, inference, reply
            say(f"replied {call_id}")
            time.sleep(numbers.random() / 100)
            quota.settle(call_id, timezone.now())
            say(f"answered {call_id} {units}")

    for _round in range(rounds):
        child = Forked(work)
        point = dice.choice(["reserved", "replied", "", ""])
        said = child.lines(until=point or "reserved")
        if not point:
            time.sleep(dice.random() * 0.03)
        child.kill()
        said += child.lines()
        seen.killed += child.end() == -signal.SIGKILL
        _wait_for_the_end_of(backend=int(said[0].split()[1]))
        answers = [line.split() for line in said if line.startswith("answered")]
        seen.answered += len(answers)
        seen.answered_units += sum(int(answer[2]) for answer in answers)
        settled = Debit.objects.filter(app=app, state__in=quota.SETTLING_OR_SETTLED).count()
        seen.settled_unanswered = settled - seen.answered
        lost = Debit.objects.filter(app=app, state=DebitState.HELD).values_list("call_id", flat=True)
        lost_ids = list(lost)
        seen.swept += quota.sweep(timezone.now() + timedelta(seconds=quota.MAX_HOLD_S + 1))
        for call_id in lost_ids:
            try:
                quota.settle(call_id, timezone.now())
            except HoldLost:
                seen.late += 1
    return seen
