"""Errors of the benchmarks, each one sentence for people."""


class BenchmarkError(Exception):
    """Base of everything that a benchmark raises on purpose."""


class PairsMissing(BenchmarkError):
    """The folder, a picture in it, or a pair that was named is not there."""


class EngineUnavailable(BenchmarkError):
    """An engine is not installed."""


class EngineFailed(BenchmarkError):
    """An engine ended without a picture, or without the lines that it was to print."""


class MeasurementFailed(BenchmarkError):
    """A process that measures ended without a figure, for no reason that concerns its row."""


class Unmeasurable(BenchmarkError):
    """A picture has nothing that distances could be relative to."""


class FolderUnusable(BenchmarkError):
    """Results cannot be stored in the folder that was named."""
