"""Benchmarks of PostgreSQL with very many rows, and of many processes that compete for them."""
