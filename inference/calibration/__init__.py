"""Fitted tables and the scores computed from them."""
