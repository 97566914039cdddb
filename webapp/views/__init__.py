"""Views: one blueprint a module."""
