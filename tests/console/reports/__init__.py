"""Usage pages of customers, and files for a spreadsheet."""
