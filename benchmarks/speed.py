"""Speed: how long evaluations and whole paintings take, how much memory, beside a peer's time.

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
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

if not __package__:
    # Run by its path: the project is beside this folder.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from PIL import Image

from benchmarks.qualitylib.engines import Pastiche
from benchmarks.qualitylib.errors import QualityError
from benchmarks.qualitylib.keep import default_folder, outside
from benchmarks.qualitylib.pairs import FIXED_PAIRS, all_pairs
from benchmarks.qualitylib.timing import machine
from benchmarks.speedlib import peer
from benchmarks.speedlib.errors import SpeedError
from benchmarks.speedlib.flops import WIDTHS
from benchmarks.speedlib.plot import Line, Panel, drawn
from benchmarks.speedlib.report import Findings, as_data, as_markdown, as_text
from benchmarks.speedlib.rows import Bench, Evaluation, Measured, Row, Whole, expected_s
from transfer.errors import TransferError
from transfer.settings import Backbone, Effort, Precision, Settings

DEFAULT_PICTURES = Path("../shared/pictures")
DEFAULT_SIZES = (256, 512, 1024, 2048, 4096)
DEFAULT_PAINTING_SIZES = (256, 512, 1024)
DEFAULT_ROW_MINUTES = 4.0
DEFAULT_PEER_STEPS = 8


class _Parser(argparse.ArgumentParser):
    """One sentence for a mistake, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        raise SpeedError(f"{message[:1].upper()}{message[1:]}; --help shows what is possible.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 0 when all is written, 2 when something is wrong."""
    signal.signal(signal.SIGTERM, _stop)
    # Shells have their background jobs ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        options = _options(arguments)
        rows, bench = _rows(options), _bench(options)
        folder = outside(options.output or default_folder().with_name("speed"))
        run = _Measuring(options, bench)
        try:
            run.measure(rows)
        except (_Stopped, KeyboardInterrupt) as stopped:
            status = stopped.status if isinstance(stopped, _Stopped) else 128 + signal.SIGINT
            run.write(folder)
            print("\nStopped; what is finished is written.", file=sys.stderr)
            return status
        run.write(folder)
    except (SpeedError, QualityError, TransferError) as error:
        print(error, file=sys.stderr)
        return 2
    except (_Stopped, KeyboardInterrupt):
        print("\nStopped.", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


class _Stopped(Exception):
    """SIGTERM came."""

    status = 128 + signal.SIGTERM


def _stop(*_: object) -> NoReturn:
    raise _Stopped


class _Measuring:
    """One run: what is measured so far."""

    def __init__(self, options: argparse.Namespace, bench: Bench) -> None:
        self._options = options
        self._bench = bench
        self._rates: dict[str, float] = {}
        self._found: list[Measured] = []
        self._peer: peer.Peer | None = None

    def measure(self, rows: Sequence[Row]) -> None:
        """Everything, the peer first: it takes part in the comparison that matters most."""
        options, bench = self._options, self._bench
        print(f"{len(rows)} rows on {bench.device}, {bench.content.stem}", flush=True)
        if any(isinstance(row, Evaluation) for row in rows):
            self._rates = bench.rates()
        for kind, rate in self._rates.items():
            print(f"matrix products of {kind}: {rate / 1e9:.0f} GFLOP/s", flush=True)
        if options.peer_steps:
            size_px, steps = options.peer_size, options.peer_steps
            self._peer = peer.measured(bench.content, bench.style, size_px, steps)
            print(f"pastiche: {self._peer.iteration_s:.3g} s per iteration", flush=True)
        for row in rows:
            size = bench.size(row)
            minutes = expected_s(row, size, self._found) / 60.0
            if minutes > options.row_minutes:
                reason = (
                    f"it would take about {minutes:.0f} minutes here, and {options.row_minutes:g}"
                    " are the limit (--row-minutes)"
                )
                self._found.append(Measured(row, *size, None, reason))
            else:
                self._found.append(bench.measured(row))
            print(f"{len(self._found)}/{len(rows)}  {_line(self._found[-1])}", flush=True)

    def write(self, folder: Path) -> None:
        """Table, data and plot of what there is."""
        bench = self._bench
        title = f"Speed on {bench.device}, {bench.content.stem} in the style of {bench.style.stem}"
        about = machine() | {
            "device": _device_name(bench.device),
            "threads": bench.threads,
            "precision": bench.precision,
            "graphs": "yes" if bench.graphs else "no",
        }
        found = Findings(title, about, self._rates, self._found, self._peer)
        print(f"\n{as_text(found)}\n")
        (folder / "table.md").write_text(as_markdown(found))
        (folder / "results.json").write_text(json.dumps(as_data(found), indent=1) + "\n")
        names = ["table.md", "results.json"]
        if any(one.figures for one in self._found):
            drawn(panels(found)).save(folder / "plot.png")
            names.append("plot.png")
        for name in names:
            print(folder / name)


def panels(found: Findings) -> list[Panel]:
    """Seconds and memory over pixels, a line for each backbone and each effort."""
    evaluations = [(f"evaluation, {one.row.label}", one) for one in found.evaluations]
    paintings = [(f"painting, {one.row.label}", one) for one in found.paintings]
    names = dict.fromkeys(name for name, _ in evaluations + paintings)
    seconds, memory = [], []
    for name in names:
        points = [
            (one.pixels / 1e6, one.figures)
            for other, one in evaluations + paintings
            if other == name and one.figures
        ]
        seconds.append(Line(name, tuple((x, figures.seconds) for x, figures in points)))
        memory.append(Line(name, tuple((x, figures.peak_bytes / 1e9) for x, figures in points)))
    if found.peer is not None and found.paintings:
        at = next((p for p in found.paintings if p.row.size_px == found.peer.size_px), None)
        if at is not None:
            name = f"pastiche, {peer.DEFAULT_ITERATIONS} iterations"
            seconds.append(Line(name, ((at.pixels / 1e6, found.peer.painting_s),)))
            memory.append(Line(name, ((at.pixels / 1e6, found.peer.peak_bytes / 1e9),)))
    across = "size of the painting, megapixels"
    return [
        Panel("Time", across, "seconds", seconds),
        Panel("Peak memory", across, "gigabytes", memory),
    ]


def _line(one: Measured) -> str:
    if one.figures is None:
        return f"without {one.row.name}: {one.reason}"
    gigabytes = one.figures.peak_bytes / 1e9
    return f"{one.row.name}: {one.figures.seconds:.4g} s, {gigabytes:.2f} GB"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(
        prog="python -m benchmarks.speed", description=(__doc__ or "").partition("\n")[0]
    )
    add = parser.add_argument
    add("--pictures", type=Path, default=DEFAULT_PICTURES, metavar="DIR", help="(%(default)s)")
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
        type=_number,
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
    add("--threads", type=_number, default=0, metavar="N", help="of the CPU; 0: as torch chooses")
    add(
        "--output",
        type=Path,
        metavar="DIR",
        help="where table.md, results.json and plot.png go (speed in the user's cache folder)",
    )
    return parser.parse_args(arguments)


def _size(text: str) -> int:
    size_px = _number(text)
    # Raises a sentence of its own.
    Settings(long_edge_px=size_px)
    return size_px


def _number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"wanted a whole number, not {text!r}")
    return int(text)


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0.0 < minutes < float("inf"):
        raise argparse.ArgumentTypeError(f"wanted a number of minutes above 0, not {text!r}")
    return minutes


def _rows(options: argparse.Namespace) -> list[Row]:
    """Everything that is asked for, small ones first: a stopped run has the most rows."""
    rows: list[Row] = [
        Evaluation(backbone, size_px)
        for backbone in dict.fromkeys(options.backbone)
        for size_px in sorted(set(options.size))
    ]
    rows += [
        Whole(effort.value, painter, size_px)
        for painter in dict.fromkeys(options.painter)
        for effort in Effort
        if effort in options.effort
        for size_px in sorted(set(options.painting_size))
    ]
    if not rows and not options.peer_steps:
        raise SpeedError("Nothing would be measured; name a --size or a --painting-size.")
    return rows


def _bench(options: argparse.Namespace) -> Bench:
    """The pictures of the first fixed pair, or of the first that there is."""
    has_cuda = torch.cuda.is_available()
    if options.device == "cuda" and not has_cuda:
        raise SpeedError("There is no CUDA here; --device cpu measures without.")
    if options.graphs and (not has_cuda or options.device == "cpu"):
        raise SpeedError("Graphs are recorded on CUDA only; leave --graphs out.")
    if options.peer_steps:
        # Before hours of measuring, not after them.
        Pastiche.installed(options.peer_steps)
    pairs = all_pairs(options.pictures)
    wanted = " x ".join(FIXED_PAIRS[0])
    pair = next((one for one in pairs if one.name == wanted), pairs[0])
    with Image.open(pair.content) as content:
        width, height = content.size
    device = "cuda" if has_cuda and options.device != "cpu" else "cpu"
    return Bench(
        pair.content,
        pair.style,
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
