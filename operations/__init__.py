"""The operators' pages: reports, live view, customer desk, actions, records, metrics."""
