"""Run functions concurrently in threads, each with its own database connection."""

import threading
from collections.abc import Callable

from django.db import connections

from accounts.errors import RuleError
from billing.errors import BillingError


def at_once(*works: Callable[[], object]) -> list[object]:
    """Return the result of each function, or the exception that it raised."""
    gate = threading.Barrier(len(works))
    results: list[object] = [None] * len(works)

    def run(number: int, work: Callable[[], object]) -> None:
        try:
            gate.wait(30)
            results[number] = work()
        except (BillingError, RuleError) as refused:
            results[number] = refused
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
