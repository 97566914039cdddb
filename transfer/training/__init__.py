"""Training of the network `compact`."""
