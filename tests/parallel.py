"""pytest-xdist (`bin/test --numprocesses auto`): separate services and folders for each worker.

Each worker has its own PostgreSQL, Valkey and var folder; the first one uses those of bin/test. The tests of
a file run in one worker, because they share fixtures of their module. Slow files start first.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from embedded import ephemeral

MOST_WORKERS = 6  # each has a site, an inference worker and a browser: about 1.5 GB
OWN = ("DATABASE_URL", "REDIS_URL", "FACECLOUD_VAR_DIR")


def default_number() -> int:
    """Return the number of cores plus one, because tests spend half of their time waiting."""
    return min((os.cpu_count() or 1) + 1, MOST_WORKERS)


class Workers:
    """A plugin for the process that distributes the tests."""

    def __init__(self) -> None:
        self._services: dict[str, ExitStack] = {}

    def pytest_configure_node(self, node: Any) -> None:
        """Start the services of a worker and pass their addresses in its environment.

        The worker reads the settings while it starts, before any hook of its own.
        """
        if node.gateway.id == "gw0":
            return
        shared = {name: value for name, value in os.environ.items() if name not in OWN}
        stack = self._services[node.gateway.id] = ExitStack()
        environment = stack.enter_context(ephemeral.running(shared))
        channel = node.gateway.remote_exec("import os\nos.environ.update(channel.receive())")
        channel.send(environment)
        channel.waitclose()

    def pytest_testnodedown(self, node: Any) -> None:
        """Stop the services of a worker that has ended or crashed."""
        if services := self._services.pop(node.gateway.id, None):
            services.close()

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self) -> Iterator[None]:
        """Stop the services that remain after an interrupt."""
        try:
            return (yield)
        finally:
            while self._services:
                self._services.popitem()[1].close()
