"""Django's admin finds the records of every room here."""

from operations.records import accounts, billing, faceapi

__all__ = ["accounts", "billing", "faceapi"]
