"""Life of a painting's row, from its order to its removal."""
