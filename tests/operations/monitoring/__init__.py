"""Live view, incidents, alerts, metrics, logs and deployment checks."""
