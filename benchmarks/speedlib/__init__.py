"""Parts of `benchmarks/speed.py`."""
