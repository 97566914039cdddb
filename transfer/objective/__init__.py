"""The loss that one level of a painting minimizes."""
