"""Catalogue, orders, packages, quota and money; the only writer of everything about them."""
