"""Programs that measure; each tells in its first lines what, and how long it runs."""
