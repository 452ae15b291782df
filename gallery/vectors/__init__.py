"""Templates as vectors in PostgreSQL: the pgvector extension, their rotation with a key, their index."""
