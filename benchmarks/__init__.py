"""Programs that measure; the first lines of each say what it measures, and its run time."""
