"""Benchmarks of the engine alone: accuracy, speed and memory, without the service around it."""
