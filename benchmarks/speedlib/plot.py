"""Plot of the speed benchmark: seconds and memory over pixels, on logarithmic axes."""

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from benchmarks.common.pastiche import DEFAULT_ITERATIONS
from benchmarks.speedlib.report import Report
from benchmarks.speedlib.rows import RowResult

_PANEL_INCHES, _LEGEND_INCHES, _HEIGHT_INCHES = 7.0, 3.0, 6.0
_DPI = 160
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#5b3a99", "#777777")
"""Colors after Okabe & Ito, which the color-blind can tell apart."""

Points = list[tuple[float, float, float]]
"""Megapixels, seconds and gigabytes of each picture."""


def draw(report: Report) -> Figure | None:
    """Draw a line for each backbone and each effort, and a mark for the peer.

    Returns:
        nothing if no row has figures.
    """
    lines = points(report)
    if not lines:
        return None
    panels = (("Time", "seconds"), ("Peak memory", "gigabytes"))
    size = len(panels) * _PANEL_INCHES + _LEGEND_INCHES, _HEIGHT_INCHES
    figure = Figure(size, _DPI, layout="constrained")
    for at, (title, unit) in enumerate(panels, 1):
        axes = figure.add_subplot(1, len(panels), at)
        axes.set_prop_cycle(color=_COLORS)
        for name, those in lines.items():
            axes.plot([p[0] for p in those], [p[at] for p in those], "o-", label=name)
        axes.set(title=title, xlabel="size of the painting, megapixels", ylabel=unit)
        axes.set(xscale="log", yscale="log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())
        axes.grid(which="both", alpha=0.3)
    # Beside the panels, where it hides nothing that was measured.
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper")
    return figure


def points(report: Report) -> dict[str, Points]:
    """Return the points of each line by its name, from small pictures to large ones."""
    lines: dict[str, Points] = {}
    for kind, results in (("evaluation", report.evaluations), ("painting", report.paintings)):
        for one in results:
            if one.figures:
                point = _megapixels(one), one.figures.seconds, one.figures.peak_bytes / 1e9
                lines.setdefault(f"{kind}, {one.row.label}", []).append(point)
    peer = report.peer
    beside = [one for one in report.paintings if peer and one.row.size_px == peer.size_px]
    if peer is not None and beside:
        name = f"pastiche, {DEFAULT_ITERATIONS} iterations"
        lines[name] = [(_megapixels(beside[0]), peer.painting_s, peer.peak_bytes / 1e9)]
    return lines


def _megapixels(one: RowResult) -> float:
    return one.pixels / 1e6
