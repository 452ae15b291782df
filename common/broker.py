"""Tasks into the broker, on a connection that a thread keeps.

Celery's send_task looks at each of its settings and takes a connection out of a pool for every task: a
millisecond of a call that may cost six. The message is Celery's own, and so is the transport.
"""

import threading
from typing import Any

from celery import current_app
from kombu import Producer

_mine = threading.local()


def publish(task: str, task_id: str, args: tuple[Any, ...], *, queue: str) -> None:
    """Put a task whose result nobody awaits into `queue`.

    Raises redis.RedisError or kombu's OperationalError where the broker is not there.
    """
    # Nobody looks at the representations, and making them takes time.
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
    """This thread's own: kombu's channels are not for two."""
    producer: Producer | None = getattr(_mine, "producer", None)
    if producer is None:
        producer = _mine.producer = Producer(current_app.connection_for_write().channel(), auto_declare=False)
    return producer
