"""All that paints: the worker process and what runs in it."""
