"""Benchmarks of fastconv: `python -m benchmarks --help`."""
