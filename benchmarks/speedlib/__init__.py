"""Modules of `benchmarks.speed`."""
