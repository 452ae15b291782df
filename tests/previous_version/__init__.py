"""The SQL of the previous version, recorded by record.py, which is replayed on the current schema."""
