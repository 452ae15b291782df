"""The tables that operators can read. Nothing is edited here: see operations/actions.py."""
