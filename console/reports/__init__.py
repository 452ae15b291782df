"""Charts, downloads, date ranges and usage figures of the pages."""
