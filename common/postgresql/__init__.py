"""Django's PostgreSQL backend with a limit on every wait, and a bounded pool of connections in a web
process.
"""
