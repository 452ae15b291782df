"""The embedded default: PostgreSQL, Valkey and the product's own processes under one supervisor.

What bin/start, bin/test and bin/manage run on. If DATABASE_URL and REDIS_URL are set, nothing is embedded.
"""
