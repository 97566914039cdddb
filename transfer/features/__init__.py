"""Feature maps of a picture, whole or tile by tile."""
