"""The names of the Celery queues.

Inference, scheduled tasks and mail must not wait for one another: a pool that is busy with pictures, or a
mail server that accepts connections but does not reply, must not delay the sweep that returns units. So each
queue has its own worker process (compose.yaml, bin/start): `celery --app inference worker` for the first, and
`celery --app facecloud worker --queues scheduled` and `--queues mail` for the others.

A region of the catalogue has the name of the inference queue of its Apps: `inference`, which all regions
share unless an operator changes it, or `inference.<place>`, which only workers with that queue in
WORKER_QUEUES (or --queues) consume.
"""

INFERENCE, SCHEDULED, MAIL = "inference", "scheduled", "mail"
INFERENCE_PATTERN = r"^inference(\.[a-z0-9][a-z0-9-]{0,31})?$"
INFERENCE_LENGTH = 42
SLOTS = 4  # threads of a scheduled or mail worker: a long task, such as reconciliation, leaves three free
