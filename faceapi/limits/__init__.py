"""How much at once: admission, shedding, fairness, unpaid work, idempotency."""
