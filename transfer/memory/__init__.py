"""Memory: the limit of a painting, and the plans that keep within it."""
