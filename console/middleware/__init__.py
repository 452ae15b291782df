"""Middleware: sessions, throttling, language, and validation of text input."""
