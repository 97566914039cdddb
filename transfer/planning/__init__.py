"""Which scales a painting goes through, and how long that takes. Free of torch."""
