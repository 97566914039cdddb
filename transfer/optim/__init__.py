"""The optimizer, L-BFGS, which is independent of pictures."""
