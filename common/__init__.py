"""What every room uses: Valkey, PostgreSQL connections, clocks, logs, queues. Imports no other room."""

__version__ = "0.1.0"
