"""Publish Celery tasks, on one connection per thread.

Celery's `send_task` evaluates its settings and takes a connection from a pool for every task, which takes one
of the six milliseconds of a call. The message format and the transport are Celery's.
"""

import threading
from typing import Any

from celery import current_app
from kombu import Producer

_local = threading.local()


def publish(task: str, task_id: str, args: tuple[Any, ...], *, queue: str) -> None:
    """Publish a task without a result to `queue`.

    Raises redis.RedisError or kombu's OperationalError if the broker is not available.
    """
    # argsrepr and kwargsrepr are for monitoring tools only, and formatting them takes time.
    message = current_app.amqp.as_task_v2(
        task_id, task, args=args, ignore_result=True, argsrepr="", kwargsrepr=""
    )
    _producer().publish(
        message.body,
        exchange="",  # the default exchange: the routing key is the queue's name
        routing_key=queue,
        serializer="json",
        headers=message.headers,
        **message.properties,
    )


def _producer() -> Producer:
    """Return this thread's producer: kombu's channels are not thread-safe."""
    producer: Producer | None = getattr(_local, "producer", None)
    if producer is None:
        producer = _local.producer = Producer(
            current_app.connection_for_write().channel(), auto_declare=False
        )
    return producer
