"""Report of the speed benchmark, as text, as Markdown and as data."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.common.pastiche import DEFAULT_ITERATIONS, PeerTime
from benchmarks.common.table import DISTURBED, DISTURBED_LEGEND, Table
from benchmarks.speedlib.flops import evaluation_flops
from benchmarks.speedlib.rows import Evaluation, RowResult, WholePainting
from transfer.planning.forecast import Forecast, TimedRun, estimate, fit_cost_model
from transfer.settings import Backbone, Effort

LEGEND = (
    "Seconds are those of one evaluation (the median of those that were timed), and of a whole"
    " painting in one rendition, its weights in memory beforehand.",
    "Memory is the most that the row's own process held, libraries included; on CUDA, what torch"
    " allocated on the device.",
    "GFLOP are those of the convolutions, there and back; the share is that of the machine's own"
    " matrix products, timed in the same run.",
    "Forecast: from the other paintings of this run, in parentheses how far off it is.",
    DISTURBED_LEGEND,
)


@dataclass(frozen=True)
class Report:
    """Results of one run."""

    title: str
    machine: Mapping[str, str | int]
    rates: Mapping[str, float]
    """FLOP/s of matrix products by kind of number."""
    rows: Sequence[RowResult]
    peer: PeerTime | None

    @property
    def evaluations(self) -> list[RowResult]:
        """Evaluations by backbone, then size."""
        found = [one for one in self.rows if isinstance(one.row, Evaluation)]
        return sorted(found, key=lambda one: (_backbone(one), one.pixels))

    @property
    def paintings(self) -> list[RowResult]:
        """Paintings by backbone, effort, then size."""
        found = [one for one in self.rows if isinstance(one.row, WholePainting)]
        efforts = list(Effort)
        return sorted(
            found, key=lambda one: (_backbone(one), efforts.index(_effort(one)), one.pixels)
        )

    @property
    def runs(self) -> list[TimedRun]:
        """Runs from which a device is learned."""
        return [one.run for one in self.paintings if one.figures]

    def times_faster(self) -> dict[str, float]:
        """Return by effort the number of our paintings in the time of one of the peer's."""
        if self.peer is None:
            return {}
        return {
            _effort(one).value: self.peer.painting_s / one.figures.seconds
            for one in self.paintings
            if one.figures
            and one.row.size_px == self.peer.size_px
            and _backbone(one) == Backbone.AUTO
        }

    def forecasts(self) -> list[tuple[RowResult, Forecast]]:
        """Forecast each painting from the others of this run."""
        found = []
        for one in self.paintings:
            if one.figures:
                others = [other.run for other in self.paintings if other.figures and other != one]
                found.append((one, estimate(one.run.workload, fit_cost_model(others))))
        return found


def as_text(report: Report) -> str:
    """Format for a terminal."""
    parts = [
        report.title,
        *(table.text() for table in _tables(report)),
        *_sentences(report),
        *LEGEND,
    ]
    return "\n\n".join(parts)


def as_markdown(report: Report) -> str:
    """Format as a page of Markdown."""
    machine = ", ".join(f"{name}: {value}" for name, value in report.machine.items())
    parts = [f"# {report.title}", machine, *(table.markdown() for table in _tables(report))]
    return "\n\n".join([*parts, *_sentences(report), *LEGEND]) + "\n"


def as_data(report: Report) -> dict[str, Any]:
    """Return data for JSON."""
    return {
        "title": report.title,
        "machine": dict(report.machine),
        "matrix_product_flops_per_s": dict(report.rates),
        "evaluations": [_data(one) | _rates(report, one) for one in report.evaluations],
        "paintings": [_data(one) for one in report.paintings],
        "forecasts": [
            {**asdict(one.row), **asdict(forecast)} for one, forecast in report.forecasts()
        ],
        "device": asdict(fit_cost_model(report.runs)),
        "peer": None if report.peer is None else asdict(report.peer),
        "times_faster": report.times_faster(),
    }


def _tables(report: Report) -> list[Table]:
    tables = []
    if report.evaluations:
        tables.append(_evaluations(report))
    if report.paintings:
        tables.append(_paintings(report))
    return tables


def _evaluations(report: Report) -> Table:
    shares = tuple(f"of {kind} product" for kind in report.rates)
    heading = ("backbone", "px", "seconds", "timed", "GFLOP", "GFLOP/s", *shares, "memory GB")
    rows: list[tuple[str, ...]] = []
    for one in report.evaluations:
        start = (_backbone(one), _size(one))
        if one.figures is None:
            rows.append((*start, *["-"] * (len(heading) - 2)))
            continue
        rates = _rates(report, one)
        rows.append(
            (
                *start,
                f"{one.figures.seconds:.4g}{DISTURBED * one.figures.is_disturbed}",
                str(one.figures.evaluations),
                f"{rates['flops'] / 1e9:.4g}",
                f"{rates['flops_per_s'] / 1e9:.4g}",
                *(f"{rates[f'share_of_{kind}']:.0%}" for kind in report.rates),
                f"{one.figures.peak_bytes / 1e9:.2f}",
            )
        )
    return Table(heading, tuple(rows), 1)


def _paintings(report: Report) -> Table:
    figures = ("seconds", "evaluations", "memory GB", "forecast s", "forecast GB")
    heading = ("effort", "backbone", "px", *figures)
    forecasts = dict(report.forecasts())
    rows: list[tuple[str, ...]] = []
    for one in report.paintings:
        start = (_effort(one).value, _backbone(one), _size(one))
        if one.figures is None:
            rows.append((*start, *["-"] * (len(heading) - 3)))
            continue
        forecast = forecasts[one]
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


def _sentences(report: Report) -> list[str]:
    sentences = [
        f"Matrix products of {kind} numbers: {rate / 1e9:.0f} GFLOP/s."
        for kind, rate in report.rates.items()
    ]
    if report.peer is not None:
        peer = report.peer
        sentences.append(
            f"pastiche {peer.version} at {peer.size_px} px: {peer.iteration_s:.3g} s per iteration"
            f"{DISTURBED * peer.is_disturbed} (median of {peer.timed}), so {peer.painting_s:.0f} s"
            f" for its default of {DEFAULT_ITERATIONS}; {peer.peak_bytes / 1e9:.2f} GB."
        )
        sentences += [
            f"{effort.capitalize()} is {ratio:.1f} times faster at {peer.size_px} px."
            for effort, ratio in report.times_faster().items()
        ]
    sentences += [f"Without {one.row.name}: {one.reason}." for one in report.rows if one.reason]
    return sentences


def _rates(report: Report, one: RowResult) -> dict[str, float]:
    flops = evaluation_flops(_backbone(one), one.height, one.width)
    if one.figures is None:
        return {"flops": flops}
    per_s = flops / one.figures.seconds
    shares = {f"share_of_{kind}": per_s / rate for kind, rate in report.rates.items()}
    return {"flops": flops, "flops_per_s": per_s, **shares}


def _data(one: RowResult) -> dict[str, Any]:
    figures = {} if one.figures is None else asdict(one.figures)
    reason = {"reason": one.reason} if one.reason else {}
    return {**asdict(one.row), "height": one.height, "width": one.width, **figures, **reason}


def _backbone(one: RowResult) -> str:
    return one.row.painter if isinstance(one.row, WholePainting) else one.row.backbone


def _effort(one: RowResult) -> Effort:
    if not isinstance(one.row, WholePainting):
        raise TypeError(f"{one.row.name} has no effort")
    return Effort(one.row.effort)


def _size(one: RowResult) -> str:
    return f"{one.width} × {one.height}"
