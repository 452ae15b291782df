"""Keep processes alive: start them in order, start again what ends, stop all in reverse."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, Protocol

from embedded.services.managed_process import Process, ServiceError

LOOK_EVERY_S = 0.2
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0
STEADY_AFTER_S = 30.0  # a process that ran this long has recovered: its next pause is the first again


class Runnable(Protocol):
    """A Process, or a service around one whose start also waits until it answers."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


@dataclass
class Supervised:
    """One process in our care."""

    process: Process
    runnable: Runnable
    started_at_s: float
    pause_s: float = FIRST_PAUSE_S
    restart_at_s: float | None = None


class Supervisor:
    """`say` is told, in one line, of everything that ended and was started again."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._wards: list[Supervised] = []

    def start(self, process: Process, runnable: Runnable | None = None) -> None:
        ward = Supervised(process, runnable or process, time.monotonic())
        self._wards.append(ward)
        ward.runnable.start()

    def watch(self) -> NoReturn:
        """Never returns: whatever ends it is raised, KeyboardInterrupt as a rule."""
        while True:
            time.sleep(LOOK_EVERY_S)
            self.look(time.monotonic())

    def look(self, now_s: float) -> None:
        """One round: note what has ended, start again what has paused long enough."""
        for ward in self._wards:
            if ward.restart_at_s is not None:
                if now_s >= ward.restart_at_s:
                    self._restart(ward)
            elif not ward.process.is_running():
                if now_s - ward.started_at_s > STEADY_AFTER_S:
                    ward.pause_s = FIRST_PAUSE_S
                ward.restart_at_s = now_s + ward.pause_s
                ward.pause_s = min(ward.pause_s * 2, LONGEST_PAUSE_S)
                self._say(
                    f"{ward.process.name} ended ({ward.process.exit_status()}), details: {ward.process.log}"
                )

    def stop(self) -> None:
        for ward in reversed(self._wards):
            ward.runnable.stop()

    def _restart(self, ward: Supervised) -> None:
        ward.restart_at_s = None
        ward.runnable.stop()  # what the dead one had forked
        ward.started_at_s = time.monotonic()
        try:
            ward.runnable.start()
        except ServiceError as error:
            self._say(str(error))  # the next round sees that it is not running
        else:
            self._say(f"{ward.process.name} runs again")
