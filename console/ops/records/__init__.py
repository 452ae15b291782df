"""The tables that operators can read. Nothing is edited here: acts go through rules (console/ops/acts.py)."""
