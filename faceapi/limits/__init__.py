"""Limits on concurrent work: admission, shedding, fairness, unpaid work, idempotency."""
