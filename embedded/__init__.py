"""The embedded default: PostgreSQL, Valkey and the product's own processes under one supervisor.

Used by bin/start, bin/test and bin/manage. If DATABASE_URL and REDIS_URL are set, nothing is embedded.
"""
