"""A signed request: pictures, their batches, the streamed body, the signature and the retries."""
