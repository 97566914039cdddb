"""Tests: unit, integration (real Redis, real processes) and end to end (Chromium)."""
