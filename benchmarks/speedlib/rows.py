"""Rows of the speed benchmark, each a single evaluation or a whole painting."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchmarks.common.errors import MeasurementFailed
from benchmarks.common.pairs import Pair
from benchmarks.common.timing import run_timed
from transfer.imaging.images import fit_size
from transfer.planning.forecast import TimedRun, Workload, count_work, estimate, fit_cost_model
from transfer.settings import Backbone, Effort, Settings

_KILLED = -9
_ROUNDS = 2.5
"""Cost of measuring a long evaluation, in evaluations: targets, pictures, and itself."""


@dataclass(frozen=True)
class Evaluation:
    """A single evaluation of loss and gradient at one size."""

    backbone: str
    size_px: int
    """Long edge."""

    @property
    def label(self) -> str:
        """Name in plots."""
        return self.backbone

    @property
    def name(self) -> str:
        """Name in progress and reasons."""
        return f"an evaluation of {self.backbone} at {self.size_px} px"


@dataclass(frozen=True)
class WholePainting:
    """A painting from its first evaluation to its last, in one rendition."""

    effort: str
    painter: str
    """Backbone, or ``"auto"`` for those that the effort asks for."""
    size_px: int

    @property
    def label(self) -> str:
        """Name in plots."""
        return self.effort if self.painter == Backbone.AUTO else f"{self.effort} by {self.painter}"

    @property
    def name(self) -> str:
        """Name in progress and reasons."""
        by = "" if self.painter == Backbone.AUTO else f" by {self.painter} alone"
        return f"a {self.effort} painting{by} at {self.size_px} px"

    @property
    def settings(self) -> Settings:
        """Settings that the engine is called with."""
        return Settings(
            long_edge_px=self.size_px, effort=Effort(self.effort), backbone=Backbone(self.painter)
        )

    def work(self, height: int, width: int) -> Workload:
        """Return the planned work."""
        return count_work(self.settings, height, width)


Row = Evaluation | WholePainting


@dataclass(frozen=True)
class Figures:
    """Time and memory of a row, in a process of its own."""

    seconds: float
    """Median of one evaluation, or time of a painting from its first evaluation's targets on."""
    evaluations: int
    """Number of evaluations that were timed, or painted."""
    peak_bytes: int
    """Peak of the process, libraries included; on CUDA, of torch's allocations there."""
    is_disturbed: bool = False
    """True if other programs kept the processor busy meanwhile."""


@dataclass(frozen=True)
class RowResult:
    """A row with its figures, or the reason why it has none."""

    row: Row
    height: int
    width: int
    figures: Figures | None
    reason: str = ""

    @property
    def pixels(self) -> int:
        """Number of pixels of the picture."""
        return self.height * self.width

    @property
    def run(self) -> TimedRun:
        """The painting as a run from which a device is learned.

        Raises:
            TypeError: if it is none.
        """
        if self.figures is None or not isinstance(self.row, WholePainting):
            raise TypeError(f"{self.row.name} is no painting with figures")
        count_work = self.row.work(self.height, self.width)
        return TimedRun(count_work, self.figures.seconds, self.figures.peak_bytes)


@dataclass(frozen=True)
class Bench:
    """Pictures, device and threads with which rows are measured."""

    pair: Pair
    shape: tuple[int, int]
    """Height and width of the content."""
    device: str
    threads: int
    precision: str = "auto"
    """Precision of gradients."""
    graphs: bool = False
    """True if evaluations are played back from CUDA graphs."""

    def size(self, row: Row) -> tuple[int, int]:
        """Return height and width of the row's picture."""
        return fit_size(*self.shape, row.size_px)

    def measure(self, row: Row) -> RowResult:
        """Measure a row in a process of its own.

        Raises:
            MeasurementFailed: if that ended in a way that has nothing to do with the row.
        """
        kind = "evaluation" if isinstance(row, Evaluation) else "painting"
        found, is_disturbed = self._ask({"kind": kind, **asdict(row)}, row.name)
        size = self.size(row)
        if reason := found.get("reason"):
            return RowResult(row, *size, None, str(reason))
        return RowResult(row, *size, Figures(**found, is_disturbed=is_disturbed))

    def rates(self) -> dict[str, float]:
        """Measure FLOP/s of matrix products on this device, by kind of number."""
        found, _ = self._ask({"kind": "products"}, "the matrix product")
        return found

    def _ask(self, order: Mapping[str, str | int], name: str) -> tuple[dict[str, Any], bool]:
        request = dict(order) | {
            "content": str(self.pair.content),
            "style": str(self.pair.style),
            "device": self.device,
            "threads": self.threads,
            "precision": self.precision,
            "graphs": self.graphs,
        }
        module = "benchmarks.speedlib.measure"
        ended = run_timed([sys.executable, "-m", module, json.dumps(request)])
        if ended.status == _KILLED:
            return {"reason": "its process was killed, as happens where memory runs out"}, False
        answer = next((line for line in reversed(ended.lines) if line.startswith("{")), None)
        if ended.status or answer is None:
            raise MeasurementFailed(f"Measuring {name} {ended.last_words}")
        return json.loads(answer), ended.took.is_disturbed


def expected_s(row: Row, size: tuple[int, int], results: Sequence[RowResult]) -> float:
    """Estimate the time to measure a row, from like rows of this run; 0 if there are none."""
    like = [one for one in results if one.figures and type(one.row) is type(row)]
    if isinstance(row, WholePainting):
        runs = [one.run for one in reversed(like)]
        return estimate(row.work(*size), fit_cost_model(runs)).seconds if runs else 0.0
    same = [one for one in like if one.row == replace(row, size_px=one.row.size_px)]
    if not same or same[-1].figures is None:
        return 0.0
    pixels = size[0] * size[1]
    return _ROUNDS * same[-1].figures.seconds * pixels / same[-1].pixels
