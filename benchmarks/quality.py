"""Quality: how close paintings come to their style and their content, beside a peer's.

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

from benchmarks.qualitylib.distances import Reference
from benchmarks.qualitylib.engines import PEERS, Engine, Order, Ours
from benchmarks.qualitylib.errors import QualityError
from benchmarks.qualitylib.keep import Keep, Kept, default_folder, outside
from benchmarks.qualitylib.pairs import FIXED_PAIRS, Pair, all_pairs, named_pairs, tuning_pairs
from benchmarks.qualitylib.report import Result, as_data, as_markdown, as_text
from benchmarks.qualitylib.sheet import Tile, contact_sheet
from benchmarks.qualitylib.timing import machine
from transfer.backbones import vgg19
from transfer.errors import TransferError
from transfer.images import read_image
from transfer.settings import Effort, Expert, Settings

DEFAULT_PICTURES = Path("../shared/pictures")
DEFAULT_STRENGTHS = (0.25, 0.5, 0.75)
DEFAULT_PEER_STEPS = 300
"""Instead of pastiche's own 1000, which take a machine without a GPU most of an hour a pair."""


class _Parser(argparse.ArgumentParser):
    """One sentence for a mistake, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        raise QualityError(f"{message[:1].upper()}{message[1:]}; --help shows what is possible.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Paint, measure and report; 0 when all is written, 2 when something is wrong."""
    # A painting that is under way is cleared away in this case, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        options = _options(arguments)
        pairs, engines = _pairs(options), _engines(options)
        keep, folder = Keep(options.keep), outside(options.output or options.keep / "report")
        results = _measure(options, pairs, engines, keep)
        _write(folder, f"Quality at {options.size} px", results)
    except (QualityError, TransferError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped; what is finished is kept.", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(
        prog="python -m benchmarks.quality", description=(__doc__ or "").partition("\n")[0]
    )
    add = parser.add_argument
    add("--pictures", type=Path, default=DEFAULT_PICTURES, metavar="DIR", help="(%(default)s)")
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
        type=_at_least_one,
        default=DEFAULT_PEER_STEPS,
        metavar="N",
        help="(%(default)s; its own default is 1000)",
    )
    add(
        "--keep",
        type=Path,
        default=default_folder(),
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


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"wanted a whole number from 1, not {text!r}")
    return int(text)


def _pairs(options: argparse.Namespace) -> list[Pair]:
    if options.all:
        return all_pairs(options.pictures)
    if options.tuning:
        return tuning_pairs(options.pictures)
    return named_pairs(options.pictures, options.pair or FIXED_PAIRS)


def _engines(options: argparse.Namespace) -> list[Engine]:
    """All columns, ours first; every setting is checked before anything is painted."""
    Settings(long_edge_px=options.size, seed=options.seed)
    for strength in options.strength:
        Settings(strength=strength)
    for weight in options.content_weight:
        Expert(content_weight=weight)
    columns = [(strength, None) for strength in sorted(set(options.strength))]
    columns += [(Settings().strength, weight) for weight in sorted(set(options.content_weight))]
    engines: list[Engine] = [
        Ours(effort, *column) for effort in Effort if effort in options.effort for column in columns
    ]
    engines += [PEERS[name](options.pastiche_steps) for name in dict.fromkeys(options.engine)]
    if not engines:
        raise QualityError("Nothing would be painted; name an --effort or an --engine.")
    return engines


def _measure(
    options: argparse.Namespace, pairs: Sequence[Pair], engines: Sequence[Engine], keep: Keep
) -> list[Result]:
    # Measuring alone, engines have processes of their own: the figures are then the same whatever
    # the number of cores, and threads need not wait for each other on busy ones.
    torch.set_num_threads(1)
    backbone = vgg19.load(torch.device("cpu"))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    orders = [Order(pair, options.size, options.seed, device) for pair in pairs]
    count = len(pairs) * len(engines)
    ready = 0 if options.fresh else sum(bool(keep.find(e, o)) for o in orders for e in engines)
    print(f"{count} in all, {ready} of them kept in {keep.folder}", flush=True)
    results = []
    for order in orders:
        pictures = (read_image(order.pair.content), read_image(order.pair.style))
        reference = Reference.of(backbone, *pictures)
        for engine in engines:
            # What is ours takes a minute; a peer may take an hour, and shows how far it is.
            on_line = None if isinstance(engine, Ours) else _tell
            kept = keep.painted(engine, order, on_line, is_fresh=options.fresh)
            with Image.open(kept.picture) as picture:
                distances = reference.distances(picture)
            results.append(Result(order.pair, engine, kept, distances))
            print(f"{len(results)}/{count}  {_line(results[-1])}", flush=True)
    return results


def _tell(line: str) -> None:
    if line.strip():
        print(f"    {line}", flush=True)


def _line(result: Result) -> str:
    kept, distances = result.kept, result.distances
    return (
        f"{result.pair.name}  {result.engine.name}  "
        f"style {distances.style:.3f}  content {distances.content:.3f}  "
        f"{_took(kept)}"
    )


def _took(kept: Kept) -> str:
    told = f"{kept.took.wall_s:.1f} s (CPU {kept.took.cpu_s:.1f} s)"
    return f"{told}, kept from an earlier run" if kept.is_earlier else told


def _write(folder: Path, title: str, results: Sequence[Result]) -> None:
    print(f"\n{as_text(title, results)}\n")
    (folder / "table.md").write_text(as_markdown(title, results))
    data = {"title": title, "machine": machine(), **as_data(results)}
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
                read_image(result.kept.picture),
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
