"""Worker process: all that paints, and the only user of RQ beside `orders.queue`."""
