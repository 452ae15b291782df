"""Read a request: its body, the spool, the images and the URLs to fetch."""
