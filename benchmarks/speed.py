"""Measure time and memory of evaluations and whole paintings, beside a peer's.

Times single evaluations (loss and gradient) of each backbone and whole paintings of each effort,
each in a process of its own, from small pictures to large ones; the machine's own matrix products,
which evaluations are compared with; and some iterations of the peer pastiche. Writes a table
(`table.md`), data (`results.json`) and a plot over pixels (`plot.png`).

    python -m benchmarks.speed [--size 256 512 1024 2048 4096] [--backbone compact vgg19]
        [--painting-size 256 512 1024] [--effort draft standard fine] [--painter auto]
        [--peer-size 512] [--peer-steps 8] [--row-minutes 4] [--device auto] [--precision auto]
        [--graphs] [--threads 0]

What would take longer than `--row-minutes` is left out, and so is what memory is too small for;
both are said. An option without a value leaves its rows out, `--peer-steps 0` the peer. When it is
stopped, what was measured so far is written.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from benchmarks.common import machine
from benchmarks.common.commandline import (
    Parser,
    Stopped,
    cache_folder,
    make_folder,
    run_program,
    whole_number,
)
from benchmarks.common.errors import BenchmarkError
from benchmarks.common.pairs import FIXED_PAIRS, Order, all_pairs
from benchmarks.common.pastiche import Pastiche, PeerTime, time_iterations
from benchmarks.speedlib import plot
from benchmarks.speedlib.flops import WIDTHS
from benchmarks.speedlib.report import Report, as_data, as_markdown, as_text
from benchmarks.speedlib.rows import (
    Bench,
    Evaluation,
    Row,
    RowResult,
    WholePainting,
    expected_s,
)
from transfer.settings import Backbone, Effort, Precision, Settings

DEFAULT_SIZES = (256, 512, 1024, 2048, 4096)
DEFAULT_PAINTING_SIZES = (256, 512, 1024)
DEFAULT_ROW_MINUTES = 4.0
DEFAULT_PEER_STEPS = 8


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 0 when all is written, 2 when something is wrong."""

    def work() -> None:
        options = _options(arguments)
        rows, bench = _rows(options), _bench(options)
        folder = make_folder(options.output or cache_folder("speed"))
        run = _Run(options, bench)
        try:
            run.measure(rows)
        except Stopped:
            run.write(folder)
            raise
        run.write(folder)

    return run_program(work, "Stopped; what is finished is written.")


class _Run:
    """One run, and its results so far."""

    def __init__(self, options: argparse.Namespace, bench: Bench) -> None:
        self._options = options
        self._bench = bench
        self._rates: dict[str, float] = {}
        self._results: list[RowResult] = []
        self._peer: PeerTime | None = None

    def measure(self, rows: Sequence[Row]) -> None:
        """Measure everything, the peer first, as its comparison matters most."""
        options, bench = self._options, self._bench
        print(f"{len(rows)} rows on {bench.device}, {bench.pair.name}", flush=True)
        if any(isinstance(row, Evaluation) for row in rows):
            self._rates = bench.rates()
        for kind, rate in self._rates.items():
            print(f"matrix products of {kind}: {rate / 1e9:.0f} GFLOP/s", flush=True)
        if options.peer_steps:
            # It draws no random numbers, and chooses its device itself.
            order = Order(bench.pair, options.peer_size, seed=0, device=bench.device)
            self._peer = time_iterations(order, options.peer_steps)
            print(f"pastiche: {self._peer.iteration_s:.3g} s per iteration", flush=True)
        for row in rows:
            size = bench.size(row)
            minutes = expected_s(row, size, self._results) / 60.0
            if minutes > options.row_minutes:
                reason = (
                    f"it would take about {minutes:.0f} minutes here, and {options.row_minutes:g}"
                    " are the limit (--row-minutes)"
                )
                self._results.append(RowResult(row, *size, None, reason))
            else:
                self._results.append(bench.measure(row))
            print(f"{len(self._results)}/{len(rows)}  {_line(self._results[-1])}", flush=True)

    def write(self, folder: Path) -> None:
        """Write table, data and plot of the results so far."""
        bench = self._bench
        title = f"Speed on {bench.device}, {bench.pair.name}"
        about = machine.describe() | {
            "device": _device_name(bench.device),
            "threads": bench.threads,
            "precision": bench.precision,
            "graphs": "yes" if bench.graphs else "no",
        }
        report = Report(title, about, self._rates, self._results, self._peer)
        print(f"\n{as_text(report)}\n")
        (folder / "table.md").write_text(as_markdown(report))
        (folder / "results.json").write_text(json.dumps(as_data(report), indent=1) + "\n")
        names = ["table.md", "results.json"]
        if figure := plot.draw(report):
            figure.savefig(folder / "plot.png")
            names.append("plot.png")
        for name in names:
            print(folder / name)


def _line(one: RowResult) -> str:
    if one.figures is None:
        return f"without {one.row.name}: {one.reason}"
    gigabytes = one.figures.peak_bytes / 1e9
    return f"{one.row.name}: {one.figures.seconds:.4g} s, {gigabytes:.2f} GB"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser("benchmarks.speed", __doc__)
    parser.add_pictures()
    add = parser.add_argument
    add(
        "--size",
        type=_size,
        nargs="*",
        default=DEFAULT_SIZES,
        metavar="PX",
        help="long edges of single evaluations (256 512 1024 2048 4096)",
    )
    add("--backbone", nargs="*", choices=[*WIDTHS], default=["compact", "vgg19"])
    add(
        "--painting-size",
        type=_size,
        nargs="*",
        default=DEFAULT_PAINTING_SIZES,
        metavar="PX",
        help="long edges of whole paintings (256 512 1024)",
    )
    efforts = [str(effort) for effort in Effort]
    add("--effort", nargs="*", choices=efforts, default=efforts, help="(all)")
    painters = [str(backbone) for backbone in Backbone]
    add("--painter", nargs="*", choices=painters, default=["auto"], help="(auto)")
    add("--peer-size", type=_size, default=512, metavar="PX", help="(%(default)s)")
    add(
        "--peer-steps",
        type=whole_number,
        default=DEFAULT_PEER_STEPS,
        metavar="N",
        help="iterations of pastiche that are timed; 0: it is left out (%(default)s)",
    )
    add(
        "--row-minutes",
        type=_minutes,
        default=DEFAULT_ROW_MINUTES,
        metavar="M",
        help="what would take longer is left out (%(default)g)",
    )
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(%(default)s)")
    add(
        "--precision",
        choices=[str(precision) for precision in Precision],
        default="auto",
        help="of gradients (%(default)s)",
    )
    add("--graphs", action="store_true", help="play evaluations back from CUDA graphs")
    add(
        "--threads",
        type=whole_number,
        default=0,
        metavar="N",
        help="of the CPU; 0: as torch chooses",
    )
    add(
        "--output",
        type=Path,
        metavar="DIR",
        help="where table.md, results.json and plot.png go (speed in the user's cache folder)",
    )
    return parser.parse_args(arguments)


def _size(text: str) -> int:
    size_px = whole_number(text)
    # Raises a sentence of its own.
    Settings(long_edge_px=size_px)
    return size_px


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0.0 < minutes < float("inf"):
        raise argparse.ArgumentTypeError(f"wanted a number of minutes above 0, not {text!r}")
    return minutes


def _rows(options: argparse.Namespace) -> list[Row]:
    """Make all rows, small ones first, so that a stopped run has the most rows."""
    rows: list[Row] = [
        Evaluation(backbone, size_px)
        for backbone in dict.fromkeys(options.backbone)
        for size_px in sorted(set(options.size))
    ]
    rows += [
        WholePainting(effort.value, painter, size_px)
        for painter in dict.fromkeys(options.painter)
        for effort in Effort
        if effort in options.effort
        for size_px in sorted(set(options.painting_size))
    ]
    if not rows and not options.peer_steps:
        raise BenchmarkError("Nothing would be measured; name a --size or a --painting-size.")
    return rows


def _bench(options: argparse.Namespace) -> Bench:
    """Take the pictures of the first fixed pair, or of the first pair in the folder."""
    has_cuda = torch.cuda.is_available()
    if options.device == "cuda" and not has_cuda:
        raise BenchmarkError("There is no CUDA here; --device cpu measures without.")
    if options.graphs and (not has_cuda or options.device == "cpu"):
        raise BenchmarkError("Graphs are recorded on CUDA only; leave --graphs out.")
    if options.peer_steps:
        # Before hours of measuring, not after them.
        Pastiche.find(options.peer_steps)
    pairs = all_pairs(options.pictures)
    wanted = " x ".join(FIXED_PAIRS[0])
    pair = next((one for one in pairs if one.name == wanted), pairs[0])
    with Image.open(pair.content) as content:
        width, height = content.size
    device = "cuda" if has_cuda and options.device != "cpu" else "cpu"
    return Bench(
        pair,
        (height, width),
        device,
        options.threads,
        options.precision,
        options.graphs,
    )


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else device


if __name__ == "__main__":
    sys.exit(main())
