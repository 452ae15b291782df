"""`facecloud enrol` and `facecloud search`: one request for each picture."""
