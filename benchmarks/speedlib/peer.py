"""The peer pastiche: some iterations are timed, and its default number is reckoned from them."""

import re
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import metadata
from itertools import pairwise
from pathlib import Path

from benchmarks.qualitylib.timing import run_timed
from benchmarks.speedlib.errors import SpeedError

NAME = "pastiche"
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


def installed_version() -> str | None:
    """Of the package in this environment; None: there is none."""
    try:
        return metadata.version(NAME)
    except metadata.PackageNotFoundError:
        return None


def command(content: Path, style: Path, size_px: int, steps: int, output: Path) -> list[str]:
    """Its own command line, its own defaults apart from size and number of steps."""
    options = {
        "--content": content,
        "--styles": style,
        "--size": size_px,
        "--num-steps": steps,
        "--info-step": 1,
        "--output": output,
    }
    # Unbuffered: each step is timed when its line comes.
    start = [sys.executable, "-u", "-m", NAME]
    return start + [part for name, value in options.items() for part in (name, str(value))]


def measured(content: Path, style: Path, size_px: int, timed: int) -> Peer:
    """Time so many iterations, after a few that are not counted.

    Raises:
        SpeedError: if it is not there, or ended without that many.
    """
    version = installed_version()
    if version is None:
        raise SpeedError("The peer pastiche is not installed: pip install pastiche==1.6.0.")
    arrivals: list[float] = []

    def on_line(line: str) -> None:
        if _STEP.fullmatch(line):
            arrivals.append(time.monotonic())

    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "painting.png"
        ended = run_timed(command(content, style, size_px, timed + _WARM_UP, output), on_line)
    # One line more than steps: it tells of step 0, which does nothing.
    if ended.status or len(arrivals) != timed + _WARM_UP + 1:
        said = next((line for line in reversed(ended.lines) if line.strip()), "nothing")
        raise SpeedError(f"pastiche ended with status {ended.status} and last said: {said}")
    counted = arrivals[_WARM_UP:]
    between = [later - earlier for earlier, later in pairwise(counted)]
    return Peer(
        version,
        size_px,
        statistics.median(between),
        timed,
        ended.took.peak_bytes,
        ended.took.is_disturbed,
    )
