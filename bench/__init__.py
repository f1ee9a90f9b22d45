"""Measures the service; see docs/benchmark.md."""
