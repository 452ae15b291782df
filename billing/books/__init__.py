"""What is derived from the ledgers: the proof that they agree, and sales figures."""
