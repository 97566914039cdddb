"""Reliability: faults injected into a running site of real processes, and what must come of it."""
