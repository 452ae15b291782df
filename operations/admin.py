"""Import the records of every room, which register their tables with Django's admin."""

from operations.records import accounts, billing, faceapi

__all__ = ["accounts", "billing", "faceapi"]
