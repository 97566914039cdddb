"""What `benchmarks/powercut.py` is made of: a workload, its record, a disk, and a look at it."""
