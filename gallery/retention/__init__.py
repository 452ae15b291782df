"""The end of stored faces: expiry, erasure, and the stored answers that name an erased person."""
