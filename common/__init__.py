"""Shared by all rooms: connections to Valkey and PostgreSQL, clocks, logs, queues. Imports no other room."""

__version__ = "0.1.0"
