"""Image headers, formats and decoding."""
