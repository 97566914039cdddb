"""What can go wrong in `benchmarks/quality.py`, each in one sentence for people."""


class QualityError(Exception):
    """Base of everything that the benchmark raises on purpose."""


class PairsMissing(QualityError):
    """The folder, a picture in it, or a pair that was named is not there."""


class EngineUnavailable(QualityError):
    """An engine is not installed."""


class EngineFailed(QualityError):
    """An engine ended without a picture."""


class Unmeasurable(QualityError):
    """A picture has nothing that distances could be relative to."""


class FolderUnusable(QualityError):
    """Results cannot be stored where they were asked for."""
