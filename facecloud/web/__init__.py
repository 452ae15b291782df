"""The gunicorn worker of the web processes."""
