"""What `benchmarks/quality.py` is made of: distances, engines, kept results, and reports."""
