"""The live view, its findings, health and metrics."""
