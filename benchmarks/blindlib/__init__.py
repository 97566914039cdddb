"""Modules of `benchmarks.blind`."""
