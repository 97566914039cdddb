"""Figures of finished pictures, after faults that people saw in blind comparisons."""
