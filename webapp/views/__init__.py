"""URLs to pages: one blueprint a module."""
