"""The queues of Celery.

Inference, scheduled work and mail must not wait for one another: a pool that is full of pictures, or a mail
server that accepts connections and stays silent, must not delay the sweep that gives units back. So each
queue has a worker process of its own (compose.yaml, bin/start): `celery --app inference worker` serves the
first, `celery --app facecloud worker --queues scheduled` and `--queues mail` the others.
"""

INFERENCE, SCHEDULED, MAIL = "inference", "scheduled", "mail"
SLOTS = 4  # of a worker without inference: a long task, such as the proof of the books, leaves three free
