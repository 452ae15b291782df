"""The tables that operators can read. They are edited by actions only (operations/actions/registry.py)."""
