"""Start processes in order, restart those that end, and stop all in reverse order."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, Protocol

from embedded.services.managed_process import Process, ServiceError

LOOK_EVERY_S = 0.2
TIDY_EVERY_S = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0
STEADY_AFTER_S = 30.0  # a process that ran this long has recovered, so its next pause is the shortest again


class Runnable(Protocol):
    """A Process, or a service whose start also waits until it responds."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


@dataclass
class Supervised:
    """A process, and the time at which to restart it."""

    process: Process
    runnable: Runnable
    started_at_s: float
    pause_s: float = FIRST_PAUSE_S
    restart_at_s: float | None = None


class Supervisor:
    """Restarts processes that end, after a pause that grows with each restart.

    `say` prints one line about each end and restart; `tidy` is called every TIDY_EVERY_S.
    """

    def __init__(self, say: Callable[[str], None], tidy: Callable[[], None] = lambda: None) -> None:
        self._say = say
        self._tidy = tidy
        self._supervised: list[Supervised] = []

    def start(self, process: Process, runnable: Runnable | None = None) -> None:
        supervised = Supervised(process, runnable or process, time.monotonic())
        self._supervised.append(supervised)
        supervised.runnable.start()

    def watch(self) -> NoReturn:
        """Watch until an exception ends it, usually KeyboardInterrupt."""
        tidied_at_s = time.monotonic()
        while True:
            time.sleep(LOOK_EVERY_S)
            self.look(time.monotonic())
            if time.monotonic() - tidied_at_s >= TIDY_EVERY_S:
                tidied_at_s = time.monotonic()
                self._tidy()

    def look(self, now_s: float) -> None:
        """Note which processes have ended, and restart those whose pause is over."""
        for supervised in self._supervised:
            if supervised.restart_at_s is not None:
                if now_s >= supervised.restart_at_s:
                    self._restart(supervised)
            elif not supervised.process.is_running():
                if now_s - supervised.started_at_s > STEADY_AFTER_S:
                    supervised.pause_s = FIRST_PAUSE_S
                supervised.restart_at_s = now_s + supervised.pause_s
                supervised.pause_s = min(supervised.pause_s * 2, LONGEST_PAUSE_S)
                process = supervised.process
                self._say(f"{process.name} ended ({process.exit_status()}), details: {process.log}")

    def stop(self) -> None:
        for supervised in reversed(self._supervised):
            supervised.runnable.stop()

    def _restart(self, supervised: Supervised) -> None:
        supervised.restart_at_s = None
        supervised.runnable.stop()  # and its children
        supervised.started_at_s = time.monotonic()
        try:
            supervised.runnable.start()
        except ServiceError as error:
            self._say(str(error))  # the next `look` finds that it is not running
        else:
            self._say(f"{supervised.process.name} runs again")
