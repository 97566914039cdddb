"""Measure finished pictures: faces, grain, foreign colors, ghosts, tone, borders, distances.

Each figure is after a fault that people saw in blind comparisons (docs/benchmarks.md says what
each means); whether it follows what people prefer is not measured yet. Prints a table, and writes
`table.md` and `results.json`.

    python -m benchmarks.pictures FOLDER [FOLDER...] [--photos DIR...] [--styles DIR...]
        [--output DIR]

A FOLDER has a picture for each pair, named by it: `tuebingen-x-starry-night.png`. A pattern with
`{pair}` in place of that name does as well, such as
`~/.cache/pic2paint/quality/{pair}/standard-0.5-512px-*.png`.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import torch

from benchmarks.common.commandline import (
    DEFAULT_PICTURES,
    Parser,
    cache_folder,
    make_folder,
    run_program,
)
from benchmarks.common.errors import BenchmarkError
from benchmarks.common.pairs import Pair
from benchmarks.common.table import Table
from benchmarks.picturelib.figures import Judge
from benchmarks.picturelib.folders import find_pictures, pairs_by_name
from transfer.imaging.images import read_image

HEADINGS = {
    "faces": "faces",
    "faces_found": "found",
    "eye_offset": "eyes off",
    "grain_chroma_1px": "chroma 1 px",
    "grain_chroma_2px": "2 px",
    "grain_lightness_1px": "light 1 px",
    "grain_lightness_2px": "2 px",
    "foreign": "foreign",
    "ghosts": "ghosts",
    "tone_correlation": "tone",
    "tone_spread": "spread",
    "borders": "borders",
    "content_distance": "content",
    "style_distance": "style",
}
"""Name of a figure -> its column's heading."""
COUNTS = {"faces", "faces_found"}
"""Figures that are whole numbers, and are summed up over pairs in place of averaged."""
LEGEND = (
    "found: faces of the photo that are found again; eyes off: by how many eye distances. Chroma "
    "and light: grain over the style's. Foreign, ghosts: shares of the picture. Tone: rank "
    "correlation of lightness; spread and borders: 1 is as in the photo, and as inside. "
    "Sums of faces and means of all else over the pairs stand in the rows named all."
)


@dataclass(frozen=True)
class Row:
    """Figures of one picture."""

    place: str
    pair: str
    picture: Path
    figures: Mapping[str, float | None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 0 when all is written, 2 when something is wrong."""

    def work() -> None:
        options = _options(arguments)
        folder = make_folder(options.output)
        pairs = pairs_by_name(options.photos, options.styles)
        places = list(dict.fromkeys(options.folder))
        rows = measure({place: find_pictures(place, pairs) for place in places}, pairs)
        result = table(rows)
        print(f"\n{result.text()}\n\n{LEGEND}\n")
        (folder / "table.md").write_text(f"# Pictures\n\n{result.markdown()}\n\n{LEGEND}\n")
        (folder / "results.json").write_text(json.dumps(as_data(rows), indent=1) + "\n")
        for name in ("table.md", "results.json"):
            print(folder / name)

    return run_program(work, "Stopped; nothing is written.")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser("benchmarks.pictures", __doc__)
    add = parser.add_argument
    add("folder", nargs="+", metavar="FOLDER", help="or a pattern with {pair} for a pair's name")
    for role in ("photos", "styles"):
        add(
            f"--{role}",
            type=Path,
            nargs="+",
            default=[DEFAULT_PICTURES],
            metavar="DIR",
            help=f"folders of {role} ({DEFAULT_PICTURES})",
        )
    add(
        "--output",
        type=Path,
        default=cache_folder("pictures"),
        metavar="DIR",
        help="where table.md and results.json go (%(default)s)",
    )
    return parser.parse_args(arguments)


def measure(pictures: Mapping[str, Mapping[str, Path]], pairs: Mapping[str, Pair]) -> list[Row]:
    """Measure all pictures, pair by pair, and print a line for each.

    Args:
        pictures: path of each picture, by its folder and the name of its pair.
        pairs: photo and style by name.
    """
    # One thread gives the same figures whatever the number of cores.
    torch.set_num_threads(1)
    judge = Judge.load()
    rows = []
    for name, pair in pairs.items():
        paths = {place: found[name] for place, found in pictures.items() if name in found}
        if not paths:
            continue
        figures = judge.measure(
            {place: read_image(path) for place, path in paths.items()},
            read_image(pair.content),
            read_image(pair.style),
        )
        for place, path in paths.items():
            rows.append(Row(place, name, path, figures[place].flat()))
            print(f"{name}  {place}", flush=True)
    return rows


def table(rows: Sequence[Row]) -> Table:
    """Return a row for each picture, and for each folder one over all of its pairs."""
    if not rows:
        raise BenchmarkError("There is nothing to show.")
    lines = [(row.pair, row.place, *_cells(row.figures)) for row in rows]
    for place in dict.fromkeys(row.place for row in rows):
        chosen = [row.figures for row in rows if row.place == place]
        lines.append(("all", place, *_cells(summary(chosen))))
    return Table(("pair", "folder", *HEADINGS.values()), tuple(lines), 2)


def summary(figures: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """Return sums of counts and means of all other figures, over the pictures that have them."""
    found: dict[str, float | None] = {}
    for name in HEADINGS:
        values = [value for one in figures if (value := one[name]) is not None]
        total = sum(values) if name in COUNTS else mean(values) if values else None
        found[name] = total
    return found


def as_data(rows: Sequence[Row]) -> dict[str, object]:
    """Return data for JSON."""
    return {
        "pictures": [
            {"folder": row.place, "pair": row.pair, "picture": str(row.picture), **row.figures}
            for row in rows
        ],
        "all": {
            place: summary([row.figures for row in rows if row.place == place])
            for place in dict.fromkeys(row.place for row in rows)
        },
    }


def _cells(figures: Mapping[str, float | None]) -> list[str]:
    return [
        "-" if (value := figures[name]) is None else f"{value:{'.0f' if name in COUNTS else '.2f'}}"
        for name in HEADINGS
    ]


if __name__ == "__main__":
    sys.exit(main())
