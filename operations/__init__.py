"""The operators' pages: reports, the live view, the customer desk, acts, records, metrics."""
