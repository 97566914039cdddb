"""Modules that several benchmarks use: pairs, timing, the peer, tables and command lines."""
