"""PostgreSQL and Valkey together, except those that are set in the environment."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

from embedded.paths import Paths
from embedded.services.postgres import Postgres
from embedded.services.valkey import Valkey

Service = Postgres | Valkey


@dataclass
class Services:
    """The embedded services, keyed by the variable of their address; empty if both are configured."""

    embedded: dict[str, Service] = field(default_factory=dict)

    @classmethod
    def of(cls, paths: Paths, *, durable: bool = True, environment: Mapping[str, str] = os.environ) -> Self:
        wanted: dict[str, Service] = {
            "DATABASE_URL": Postgres(
                data=paths.data, sockets=paths.sockets, log=paths.logs / "postgres.log", durable=durable
            ),
            "REDIS_URL": Valkey(sockets=paths.sockets, log=paths.logs / "valkey.log"),
        }
        return cls({name: service for name, service in wanted.items() if not environment.get(name)})

    @property
    def environment(self) -> dict[str, str]:
        """Return the addresses for a process that creates tables: it connects as their owner."""
        return {name: service.url for name, service in self.embedded.items()}

    @property
    def application(self) -> dict[str, str]:
        """Return the addresses for a process of the application, which connects with fewer rights."""
        return {
            name: service.application_url if isinstance(service, Postgres) else service.url
            for name, service in self.embedded.items()
        }

    @property
    def owner(self) -> dict[str, str]:
        """Return the additional variable for `migrate`: the address of the owner of the tables."""
        url = self.environment.get("DATABASE_URL") or os.environ.get("DATABASE_OWNER_URL")
        return {"DATABASE_OWNER_URL": url} if url else {}

    def start(self) -> None:
        for service in self.embedded.values():
            service.start()

    def stop(self) -> None:
        for service in reversed(self.embedded.values()):
            service.stop()

    @contextmanager
    def running(self) -> Iterator[dict[str, str]]:
        """Run the services during the block; yields their addresses as environment variables."""
        try:
            self.start()
            yield self.environment
        finally:
            self.stop()
