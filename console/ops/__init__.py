"""The operators' pages: usage and business reports, the live view, the customer desk, acts, records, metrics."""
