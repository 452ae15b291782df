"""The product on one machine: PostgreSQL, Valkey and the product's own processes under one supervisor.

Used by bin/start, bin/test and bin/manage. A service whose address is set (DATABASE_URL, REDIS_URL) is used
instead of an embedded one.
"""
