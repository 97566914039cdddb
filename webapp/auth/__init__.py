"""Accounts: passwords, sessions, and access to owned things."""
