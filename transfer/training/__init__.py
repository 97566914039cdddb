"""How the network `compact` was made."""
