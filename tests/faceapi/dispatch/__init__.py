"""Calls whose workers die, restart or belong to a region of their own."""
