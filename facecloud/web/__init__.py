"""The web worker of gunicorn."""
