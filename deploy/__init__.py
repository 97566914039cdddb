"""Start command: starts the site on one machine, and keeps it running."""
