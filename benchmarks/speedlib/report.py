"""What was found, as text, as Markdown, and as data."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.qualitylib.report import Table
from benchmarks.qualitylib.timing import BUSY_SHARE
from benchmarks.speedlib.flops import evaluation_flops
from benchmarks.speedlib.peer import DEFAULT_ITERATIONS, Peer
from benchmarks.speedlib.rows import Evaluation, Measured, Whole
from transfer.forecast import Forecast, Run, expected, learn
from transfer.settings import Backbone, Effort

DISTURBED = "‡"
LEGEND = (
    "Seconds are those of one evaluation (the median of those that were timed), and of a whole"
    " painting in one rendition, its weights in memory beforehand.",
    "Memory is the most that the row's own process held, libraries included; on CUDA, what torch"
    " allocated on the device.",
    "GFLOP are those of the convolutions, there and back; the share is that of the machine's own"
    " matrix products, timed in the same run.",
    "Forecast: from the other paintings of this run, in parentheses how far off it is.",
    f"{DISTURBED} other programs used more than {BUSY_SHARE:.0%} of the processor meanwhile, so the"
    " time is too long.",
)


@dataclass(frozen=True)
class Findings:
    """Everything of one run."""

    title: str
    machine: Mapping[str, str | int]
    rates: Mapping[str, float]
    """FLOP/s of matrix products by kind of number."""
    rows: Sequence[Measured]
    peer: Peer | None

    @property
    def evaluations(self) -> list[Measured]:
        """By backbone, then size."""
        found = [one for one in self.rows if isinstance(one.row, Evaluation)]
        return sorted(found, key=lambda one: (_backbone(one), one.pixels))

    @property
    def paintings(self) -> list[Measured]:
        """By backbone, effort, then size."""
        found = [one for one in self.rows if isinstance(one.row, Whole)]
        efforts = list(Effort)
        return sorted(
            found, key=lambda one: (_backbone(one), efforts.index(_effort(one)), one.pixels)
        )

    @property
    def runs(self) -> list[Run]:
        """What a device is learned from."""
        return [one.run for one in self.paintings if one.figures]

    def times_faster(self) -> dict[str, float]:
        """By effort: how many of our paintings fit into one of the peer's, at its size."""
        if self.peer is None:
            return {}
        return {
            _effort(one).value: self.peer.painting_s / one.figures.seconds
            for one in self.paintings
            if one.figures
            and one.row.size_px == self.peer.size_px
            and _backbone(one) == Backbone.AUTO
        }

    def forecasts(self) -> list[tuple[Measured, Forecast]]:
        """For each painting, what the others of this run say of it."""
        found = []
        for one in self.paintings:
            if one.figures:
                others = [other.run for other in self.paintings if other.figures and other != one]
                found.append((one, expected(one.run.work, learn(others))))
        return found


def as_text(found: Findings) -> str:
    """For a terminal."""
    parts = [found.title, *(table.text() for table in _tables(found)), *_sentences(found), *LEGEND]
    return "\n\n".join(parts)


def as_markdown(found: Findings) -> str:
    """For a file."""
    machine = ", ".join(f"{name}: {value}" for name, value in found.machine.items())
    parts = [f"# {found.title}", machine, *(table.markdown() for table in _tables(found))]
    return "\n\n".join([*parts, *_sentences(found), *LEGEND]) + "\n"


def as_data(found: Findings) -> dict[str, Any]:
    """For programs."""
    return {
        "title": found.title,
        "machine": dict(found.machine),
        "matrix_product_flops_per_s": dict(found.rates),
        "evaluations": [_data(one) | _rates(found, one) for one in found.evaluations],
        "paintings": [_data(one) for one in found.paintings],
        "forecasts": [
            {**asdict(one.row), **asdict(forecast)} for one, forecast in found.forecasts()
        ],
        "device": asdict(learn(found.runs)),
        "peer": None if found.peer is None else asdict(found.peer),
        "times_faster": found.times_faster(),
    }


def _tables(found: Findings) -> list[Table]:
    tables = []
    if found.evaluations:
        tables.append(_evaluations(found))
    if found.paintings:
        tables.append(_paintings(found))
    return tables


def _evaluations(found: Findings) -> Table:
    shares = tuple(f"of {kind} product" for kind in found.rates)
    heading = ("backbone", "px", "seconds", "timed", "GFLOP", "GFLOP/s", *shares, "memory GB")
    rows: list[tuple[str, ...]] = []
    for one in found.evaluations:
        start = (_backbone(one), _size(one))
        if one.figures is None:
            rows.append((*start, *["-"] * (len(heading) - 2)))
            continue
        rates = _rates(found, one)
        rows.append(
            (
                *start,
                f"{one.figures.seconds:.4g}{DISTURBED * one.figures.is_disturbed}",
                str(one.figures.evaluations),
                f"{rates['flops'] / 1e9:.4g}",
                f"{rates['flops_per_s'] / 1e9:.4g}",
                *(f"{rates[f'share_of_{kind}']:.0%}" for kind in found.rates),
                f"{one.figures.peak_bytes / 1e9:.2f}",
            )
        )
    return Table(heading, tuple(rows), 1)


def _paintings(found: Findings) -> Table:
    figures = ("seconds", "evaluations", "memory GB", "forecast s", "forecast GB")
    heading = ("effort", "backbone", "px", *figures)
    told = dict(found.forecasts())
    rows: list[tuple[str, ...]] = []
    for one in found.paintings:
        start = (_effort(one).value, _backbone(one), _size(one))
        if one.figures is None:
            rows.append((*start, *["-"] * (len(heading) - 3)))
            continue
        forecast = told[one]
        rows.append(
            (
                *start,
                f"{one.figures.seconds:.2f}{DISTURBED * one.figures.is_disturbed}",
                str(one.figures.evaluations),
                f"{one.figures.peak_bytes / 1e9:.2f}",
                f"{forecast.seconds:.2f} ({forecast.seconds / one.figures.seconds - 1:+.0%})",
                f"{forecast.peak_bytes / 1e9:.2f}"
                f" ({forecast.peak_bytes / one.figures.peak_bytes - 1:+.0%})",
            )
        )
    return Table(heading, tuple(rows), 2)


def _sentences(found: Findings) -> list[str]:
    sentences = [
        f"Matrix products of {kind} numbers: {rate / 1e9:.0f} GFLOP/s."
        for kind, rate in found.rates.items()
    ]
    if found.peer is not None:
        peer = found.peer
        sentences.append(
            f"pastiche {peer.version} at {peer.size_px} px: {peer.iteration_s:.3g} s per iteration"
            f"{DISTURBED * peer.is_disturbed} (median of {peer.timed}), so {peer.painting_s:.0f} s"
            f" for its default of {DEFAULT_ITERATIONS}; {peer.peak_bytes / 1e9:.2f} GB."
        )
        sentences += [
            f"{effort.capitalize()} is {ratio:.1f} times faster at {peer.size_px} px."
            for effort, ratio in found.times_faster().items()
        ]
    sentences += [f"Without {one.row.name}: {one.reason}." for one in found.rows if one.reason]
    return sentences


def _rates(found: Findings, one: Measured) -> dict[str, float]:
    flops = evaluation_flops(_backbone(one), one.height, one.width)
    if one.figures is None:
        return {"flops": flops}
    per_s = flops / one.figures.seconds
    shares = {f"share_of_{kind}": per_s / rate for kind, rate in found.rates.items()}
    return {"flops": flops, "flops_per_s": per_s, **shares}


def _data(one: Measured) -> dict[str, Any]:
    figures = {} if one.figures is None else asdict(one.figures)
    reason = {"reason": one.reason} if one.reason else {}
    return {**asdict(one.row), "height": one.height, "width": one.width, **figures, **reason}


def _backbone(one: Measured) -> str:
    return one.row.painter if isinstance(one.row, Whole) else one.row.backbone


def _effort(one: Measured) -> Effort:
    if not isinstance(one.row, Whole):
        raise TypeError(f"{one.row.name} has no effort")
    return Effort(one.row.effort)


def _size(one: Measured) -> str:
    return f"{one.width} × {one.height}"
