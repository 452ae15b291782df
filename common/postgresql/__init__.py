"""Django's PostgreSQL backend with bounded waits, and a bounded connection pool for web processes."""
