"""Pixels in and out: files, colors, masks, animations."""
