"""Catalogue, orders, packages, quota and money; the only writer of all of their tables."""
