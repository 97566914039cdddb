"""How the site is installed, started and kept running on one machine."""
