"""Calls whose workers die, restart or belong to another region."""
