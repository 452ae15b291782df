"""Sessions, throttles, the language and the check of text input."""
