"""Measure how close paintings come to their style and their content, beside a peer's.

Paints pairs of a content and a style at several strengths and efforts, and measures each painting
on the original VGG-19: style distance and content distance (`qualitylib/distances.py`; 0 is the
picture itself). The two trade against each other, so the summary says on how many pairs our style
distance is below a peer's where the content distances are equal. Writes a table (`table.md`,
`results.json`) and a contact sheet (`sheet.png`).

    python -m benchmarks.quality [--engine pastiche] [--effort draft standard fine]
        [--strength 0.25 0.5 0.75] [--content-weight W] [--size 512] [--pictures DIR] [--all]
        [--keep DIR] [--fresh]

Six fixed pairs are painted unless others are asked for (`--all`, `--tuning`, `--pair`). What is
finished is kept, so a run that was stopped goes on where it was, and a peer's hours are paid once;
times of an earlier run are marked. `--effort` without a name leaves ours out: with `--engine
pastiche` that paints the peer's pictures only.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from PIL import Image

from benchmarks.common import machine
from benchmarks.common.commandline import (
    Parser,
    cache_folder,
    make_folder,
    run_program,
    whole_number,
)
from benchmarks.common.errors import BenchmarkError
from benchmarks.common.pairs import (
    FIXED_PAIRS,
    Order,
    Pair,
    all_pairs,
    named_pairs,
    tuning_pairs,
)
from benchmarks.qualitylib.distances import Reference
from benchmarks.qualitylib.engines import PEERS, Engine, Ours
from benchmarks.qualitylib.report import Result, as_data, as_markdown, as_text
from benchmarks.qualitylib.sheet import Tile, contact_sheet
from benchmarks.qualitylib.store import PaintingStore
from transfer.backbones import vgg19
from transfer.imaging.images import read_image
from transfer.settings import AdvancedSettings, Effort, Settings

DEFAULT_STRENGTHS = (0.25, 0.5, 0.75)
DEFAULT_PEER_STEPS = 300
"""Number of pastiche's steps, as its own 1000 take most of an hour a pair without a GPU."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Paint, measure and report; 0 when all is written, 2 when something is wrong."""

    def work() -> None:
        options = _options(arguments)
        pairs, engines = _pairs(options), _engines(options)
        store = PaintingStore(options.keep)
        folder = make_folder(options.output or options.keep / "report")
        results = _measure(options, pairs, engines, store)
        _write(folder, f"Quality at {options.size} px", results)

    return run_program(work, "Stopped; what is finished is kept.")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser("benchmarks.quality", __doc__)
    parser.add_pictures()
    add = parser.add_argument
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="every content in every style")
    which.add_argument("--tuning", action="store_true", help="all but the six fixed pairs")
    which.add_argument(
        "--pair",
        action="append",
        type=_pair,
        metavar="CONTENT:STYLE",
        help="only this one, such as tuebingen:starry-night; as often as given",
    )
    add("--size", type=int, default=Settings().long_edge_px, help="long edge, px (%(default)s)")
    add("--seed", type=int, default=Settings().seed, help="(%(default)s)")
    add(
        "--strength",
        type=float,
        nargs="*",
        default=DEFAULT_STRENGTHS,
        metavar="S",
        help="from 0 to 1 (0.25 0.5 0.75)",
    )
    add(
        "--content-weight",
        type=float,
        nargs="+",
        default=(),
        metavar="W",
        help="further columns with a fixed weight of the content in place of a strength",
    )
    efforts = [str(effort) for effort in Effort]
    add(
        "--effort",
        nargs="*",
        choices=efforts,
        default=efforts,
        help="%(choices)s; all of them unless named, without a name none",
    )
    add(
        "--engine",
        action="append",
        choices=[*PEERS],
        default=[],
        help="a peer that paints as well: %(choices)s",
    )
    add(
        "--pastiche-steps",
        type=partial(whole_number, least=1),
        default=DEFAULT_PEER_STEPS,
        metavar="N",
        help="(%(default)s; its own default is 1000)",
    )
    add(
        "--keep",
        type=Path,
        default=cache_folder("quality"),
        metavar="DIR",
        help="where finished paintings are kept (%(default)s)",
    )
    add("--fresh", action="store_true", help="paint again what is kept")
    add(
        "--output",
        type=Path,
        metavar="DIR",
        help="where table.md, results.json and sheet.png go (report in the folder of --keep)",
    )
    return parser.parse_args(arguments)


def _pair(text: str) -> tuple[str, str]:
    content, colon, style = text.partition(":")
    if not (content and colon and style):
        raise argparse.ArgumentTypeError(f"wanted CONTENT:STYLE, not {text!r}")
    return content, style


def _pairs(options: argparse.Namespace) -> list[Pair]:
    if options.all:
        return all_pairs(options.pictures)
    if options.tuning:
        return tuning_pairs(options.pictures)
    return named_pairs(options.pictures, options.pair or FIXED_PAIRS)


def _engines(options: argparse.Namespace) -> list[Engine]:
    """Make all engines, ours first, and check every setting before anything is painted."""
    Settings(long_edge_px=options.size, seed=options.seed)
    for strength in options.strength:
        Settings(strength=strength)
    for weight in options.content_weight:
        AdvancedSettings(content_weight=weight)
    columns = [(strength, None) for strength in sorted(set(options.strength))]
    columns += [(Settings().strength, weight) for weight in sorted(set(options.content_weight))]
    engines: list[Engine] = [
        Ours(effort, *column) for effort in Effort if effort in options.effort for column in columns
    ]
    engines += [PEERS[name](options.pastiche_steps) for name in dict.fromkeys(options.engine)]
    if not engines:
        raise BenchmarkError("Nothing would be painted; name an --effort or an --engine.")
    return engines


def _measure(
    options: argparse.Namespace,
    pairs: Sequence[Pair],
    engines: Sequence[Engine],
    store: PaintingStore,
) -> list[Result]:
    # Engines have processes of their own. Here, one thread gives the same figures whatever the
    # number of cores, and need not wait for others on busy ones.
    torch.set_num_threads(1)
    backbone = vgg19.load(torch.device("cpu"))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    orders = [Order(pair, options.size, options.seed, device) for pair in pairs]
    count = len(pairs) * len(engines)
    ready = 0 if options.fresh else sum(bool(store.find(e, o)) for o in orders for e in engines)
    print(f"{count} in all, {ready} of them kept in {store.folder}", flush=True)
    results = []
    for order in orders:
        pictures = (read_image(order.pair.content), read_image(order.pair.style))
        reference = Reference.measure(backbone, *pictures)
        for engine in engines:
            # Ours takes a minute; a peer may take an hour, and prints its progress.
            on_line = None if isinstance(engine, Ours) else _print_line
            stored = store.get_or_paint(engine, order, on_line, is_fresh=options.fresh)
            with Image.open(stored.picture) as picture:
                distances = reference.distances(picture)
            results.append(Result(order.pair, engine, stored, distances))
            print(f"{len(results)}/{count}  {_line(results[-1])}", flush=True)
    return results


def _print_line(line: str) -> None:
    if line.strip():
        print(f"    {line}", flush=True)


def _line(result: Result) -> str:
    stored, distances = result.stored, result.distances
    earlier = ", kept from an earlier run" * stored.is_earlier
    return (
        f"{result.pair.name}  {result.engine.name}  "
        f"style {distances.style:.3f}  content {distances.content:.3f}  "
        f"{stored.took.wall_s:.1f} s (CPU {stored.took.cpu_s:.1f} s){earlier}"
    )


def _write(folder: Path, title: str, results: Sequence[Result]) -> None:
    print(f"\n{as_text(title, results)}\n")
    (folder / "table.md").write_text(as_markdown(title, results))
    data = {"title": title, "machine": machine.describe(), **as_data(results)}
    (folder / "results.json").write_text(json.dumps(data, indent=1) + "\n")
    _sheet(results).save(folder / "sheet.png")
    for name in ("table.md", "results.json", "sheet.png"):
        print(folder / name)


def _sheet(results: Sequence[Result]) -> Image.Image:
    rows = []
    for pair in dict.fromkeys(result.pair for result in results):
        row = [Tile(read_image(path), (path.stem,)) for path in (pair.content, pair.style)]
        row += [
            Tile(
                read_image(result.stored.picture),
                (
                    result.engine.name,
                    f"style {result.distances.style:.3f}   content {result.distances.content:.3f}",
                ),
            )
            for result in results
            if result.pair == pair
        ]
        rows.append(row)
    return contact_sheet(rows)


if __name__ == "__main__":
    sys.exit(main())
