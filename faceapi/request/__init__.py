"""Reading a request: body, spool, images and the URLs to fetch."""
