"""The models: registry, download, conversion and sessions."""
