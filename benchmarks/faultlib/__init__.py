"""What `benchmarks/faults.py` is made of: a site of real processes, faults, and checks."""
