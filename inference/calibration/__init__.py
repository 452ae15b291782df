"""Fitted tables, and the scores made from them."""
