"""Answer codes, error replies and their translations."""
