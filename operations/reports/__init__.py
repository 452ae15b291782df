"""Reports for operators: business, usage, and one customer."""
