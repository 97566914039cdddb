"""Strangers' files become pictures."""
