"""The optimizer, L-BFGS, which knows nothing of pictures."""
