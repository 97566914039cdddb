"""Modules of `benchmarks.quality`."""
