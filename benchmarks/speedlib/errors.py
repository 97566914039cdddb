"""What can go wrong in `benchmarks/speed.py`, each in one sentence for people."""


class SpeedError(Exception):
    """Base of everything that the benchmark raises on purpose."""


class MeasuringFailed(SpeedError):
    """A process that measures ended without a figure, for no reason that concerns its row."""
