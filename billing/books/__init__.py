"""Reports on the ledgers: the proof that they agree, and sales."""
