"""The version that operators have, as its SQL: recorded by record.py, replayed on the schema of this one."""
