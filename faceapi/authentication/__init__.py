"""Authentication of a call: AppKey, signature and the replay guard."""
