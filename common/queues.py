"""The names of the Celery queues.

Inference, scheduled tasks and mail must not wait for one another: a pool that is busy with pictures, or a
mail server that accepts connections but does not reply, must not delay the sweep that returns units. So each
queue has its own worker process (compose.yaml, bin/start): `celery --app inference worker` for the first, and
`celery --app facecloud worker --queues scheduled` and `--queues mail` for the others.
"""

INFERENCE, SCHEDULED, MAIL = "inference", "scheduled", "mail"
SLOTS = 4  # of a worker without inference, so that a long task, such as reconciliation, leaves three free
