"""What is measured, row by row: single evaluations, and whole paintings."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.qualitylib.timing import run_timed
from benchmarks.speedlib.errors import MeasuringFailed
from transfer.forecast import Run, Work, expected, learn, work
from transfer.images import fitted_size
from transfer.settings import Backbone, Effort, Settings

_KILLED = -9
_ROUNDS = 2.5
"""What measuring a long evaluation takes, in evaluations: targets, pictures, and itself."""


@dataclass(frozen=True)
class Evaluation:
    """Loss and gradient at one size."""

    backbone: str
    size_px: int
    """Long edge."""

    @property
    def label(self) -> str:
        """What stands in plots."""
        return self.backbone

    @property
    def name(self) -> str:
        """As progress and reasons call it."""
        return f"an evaluation of {self.backbone} at {self.size_px} px"


@dataclass(frozen=True)
class Whole:
    """A painting from its first evaluation to its last, in one rendition."""

    effort: str
    painter: str
    """The backbone; ``"auto"`` for those that the effort asks for."""
    size_px: int

    @property
    def label(self) -> str:
        """What stands in plots."""
        return self.effort if self.painter == Backbone.AUTO else f"{self.effort} by {self.painter}"

    @property
    def name(self) -> str:
        """As progress and reasons call it."""
        by = "" if self.painter == Backbone.AUTO else f" by {self.painter} alone"
        return f"a {self.effort} painting{by} at {self.size_px} px"

    @property
    def settings(self) -> Settings:
        """What the engine is asked for."""
        return Settings(
            long_edge_px=self.size_px, effort=Effort(self.effort), backbone=Backbone(self.painter)
        )

    def work(self, height: int, width: int) -> Work:
        """What is planned."""
        return work(self.settings, height, width)


Row = Evaluation | Whole


@dataclass(frozen=True)
class Figures:
    """What a row took, in a process of its own."""

    seconds: float
    """Of one evaluation: the median; of a painting: from its first evaluation's targets on."""
    evaluations: int
    """Timed, or planned and done."""
    peak_bytes: int
    """On a CPU of the process, libraries included; on CUDA of what torch allocated there."""
    is_disturbed: bool = False
    """Whether other programs kept the processor busy meanwhile."""


@dataclass(frozen=True)
class Measured:
    """A row with its figures, or the reason why it has none."""

    row: Row
    height: int
    width: int
    figures: Figures | None
    reason: str = ""

    @property
    def pixels(self) -> int:
        """Of the picture."""
        return self.height * self.width

    @property
    def run(self) -> Run:
        """A painting that was painted, as a device is learned from.

        Raises:
            TypeError: if it is none.
        """
        if self.figures is None or not isinstance(self.row, Whole):
            raise TypeError(f"{self.row.name} is no painting with figures")
        work = self.row.work(self.height, self.width)
        return Run(work, self.figures.seconds, self.figures.peak_bytes)


@dataclass(frozen=True)
class Bench:
    """Where rows are measured: pictures, device, threads."""

    content: Path
    style: Path
    shape: tuple[int, int]
    """Height and width of the content."""
    device: str
    threads: int
    precision: str = "auto"
    """Of gradients."""
    graphs: bool = False
    """Whether evaluations are played back from CUDA graphs."""

    def size(self, row: Row) -> tuple[int, int]:
        """Height and width of the row's picture."""
        return fitted_size(*self.shape, row.size_px)

    def measured(self, row: Row) -> Measured:
        """The row's figures, from a process of its own.

        Raises:
            MeasuringFailed: if that ended in a way that has nothing to do with the row.
        """
        kind = "evaluation" if isinstance(row, Evaluation) else "painting"
        found, is_disturbed = self._ask({"kind": kind, **asdict(row)}, row.name)
        size = self.size(row)
        if reason := found.get("reason"):
            return Measured(row, *size, None, str(reason))
        return Measured(row, *size, Figures(**found, is_disturbed=is_disturbed))

    def rates(self) -> dict[str, float]:
        """FLOP/s of matrix products on this device, by kind of number."""
        found, _ = self._ask({"kind": "products"}, "the matrix product")
        return found

    def _ask(self, order: Mapping[str, str | int], name: str) -> tuple[dict[str, Any], bool]:
        told = dict(order) | {
            "content": str(self.content),
            "style": str(self.style),
            "device": self.device,
            "threads": self.threads,
            "precision": self.precision,
            "graphs": self.graphs,
        }
        module = "benchmarks.speedlib.measure"
        ended = run_timed([sys.executable, "-m", module, json.dumps(told)])
        if ended.status == _KILLED:
            return {"reason": "its process was killed, as happens where memory runs out"}, False
        answer = next((line for line in reversed(ended.lines) if line.startswith("{")), None)
        if ended.status or answer is None:
            said = next((line for line in reversed(ended.lines) if line.strip()), "nothing")
            raise MeasuringFailed(
                f"Measuring {name} ended with status {ended.status} and last said: {said}"
            )
        return json.loads(answer), ended.took.is_disturbed


def expected_s(row: Row, size: tuple[int, int], measured: Sequence[Measured]) -> float:
    """How long measuring a row will take, from like rows of this run; 0 if there are none."""
    like = [one for one in measured if one.figures and type(one.row) is type(row)]
    if isinstance(row, Whole):
        runs = [one.run for one in reversed(like)]
        return expected(row.work(*size), learn(runs)).seconds if runs else 0.0
    same = [one for one in like if one.row == replace(row, size_px=one.row.size_px)]
    if not same or same[-1].figures is None:
        return 0.0
    pixels = size[0] * size[1]
    return _ROUNDS * same[-1].figures.seconds * pixels / same[-1].pixels
