"""Compare two engines, versions or settings by people who do not know which is which.

    python -m benchmarks.blind paint FOLDER [--pair NAME...] [--checkout DIR] [-- SETTINGS]
    python -m benchmarks.blind sheets FOLDER FOLDER --raters NAME... --output DIR [--key FILE]
    python -m benchmarks.blind tally KEY FORM... [--output DIR]

`paint` paints pairs into files named by pair; any other program's pictures with such names do as
well. `sheets` makes a sheet for each pair that both folders have, and for each rater a list of
them in an order of their own and a form; the key goes to another place. `tally` reads key and
filled-in forms. docs/benchmarks.md says how to go about it.
"""

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.blindlib.forms import INSTRUCTIONS, empty_form, read_forms
from benchmarks.blindlib.paint import paint
from benchmarks.blindlib.sheets import PicturesDiffer, draw_sheet
from benchmarks.blindlib.tally import TIE, Tally
from benchmarks.blindlib.trials import Key, make_key
from benchmarks.common.commandline import (
    DEFAULT_PICTURES,
    Parser,
    cache_folder,
    make_folder,
    run_program,
    whole_number,
)
from benchmarks.common.errors import BenchmarkError, FolderUnusable, PairsMissing
from benchmarks.common.pairs import FIXED_PAIRS, JUDGED_PAIRS, Pair
from benchmarks.picturelib.folders import find_pictures, pairs_by_name, slug
from config import PROJECT_ROOT
from transfer.imaging.images import read_image


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; 0 when it is done, 2 when something is wrong."""

    def work() -> None:
        options = _options(arguments)
        options.run(options)

    return run_program(work, "Stopped.")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser("benchmarks.blind", __doc__)
    commands = parser.add_subparsers(
        required=True, metavar="COMMAND", parser_class=argparse.ArgumentParser
    )
    painting = commands.add_parser(
        "paint",
        help="paint pairs into files named by pair",
        epilog="What comes after -- goes to python -m transfer, such as: -- --size 512",
    )
    painting.set_defaults(run=_paint)
    painting.add_argument("folder", type=Path, metavar="FOLDER")
    painting.add_argument(
        "--pair",
        nargs="+",
        default=_slugs(FIXED_PAIRS),
        metavar="NAME",
        help="such as tuebingen-x-starry-night (the six fixed pairs of benchmarks.quality)",
    )
    painting.add_argument(
        "--judged",
        action="store_true",
        help="the pairs that docs/benchmarks.md has votes on, in place of --pair",
    )
    painting.add_argument(
        "--checkout",
        type=Path,
        default=PROJECT_ROOT,
        metavar="DIR",
        help="folder of the version that paints (this one)",
    )
    sheets = commands.add_parser("sheets", help="make sheets, lists and forms for raters")
    sheets.set_defaults(run=_sheets)
    sheets.add_argument(
        "folder", nargs=2, metavar="FOLDER", help="or a pattern with {pair} for a pair's name"
    )
    sheets.add_argument(
        "--names", nargs=2, metavar="NAME", help="of the two, for the tally (their folders)"
    )
    sheets.add_argument("--raters", nargs="+", required=True, metavar="NAME")
    sheets.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="what the raters get; a new folder",
    )
    sheets.add_argument(
        "--key", type=Path, metavar="FILE", help="outside of that folder (in the cache folder)"
    )
    sheets.add_argument(
        "--seed", type=whole_number, help="of all orders (a random number, which the key keeps)"
    )
    for command in (painting, sheets):
        for role in ("photos", "styles"):
            command.add_argument(
                f"--{role}",
                type=Path,
                nargs="+",
                default=[DEFAULT_PICTURES],
                metavar="DIR",
                help=f"folders of {role} ({DEFAULT_PICTURES})",
            )
    tally = commands.add_parser("tally", help="count the votes")
    tally.set_defaults(run=_tally)
    tally.add_argument("key", type=Path, metavar="KEY")
    tally.add_argument("forms", type=Path, nargs="+", metavar="FORM")
    tally.add_argument(
        "--output", type=Path, metavar="DIR", help="where tally.md and tally.json go (beside KEY)"
    )
    # One sentence for a mistake, as that of all benchmarks.
    for command in (painting, sheets, tally):
        command.error = partial(Parser.error, parser)  # type: ignore[method-assign]
    # What comes after "--" is for another program, whatever it looks like.
    words = list(sys.argv[1:] if arguments is None else arguments)
    end = words.index("--") if "--" in words else len(words)
    options = parser.parse_args(words[:end])
    options.settings = words[end + 1 :]
    return options


def _slugs(pairs: Sequence[tuple[str, str]]) -> list[str]:
    return [slug(f"{content} x {style}") for content, style in pairs]


def _paint(options: argparse.Namespace) -> None:
    pairs = pairs_by_name(options.photos, options.styles)
    names = _slugs(JUDGED_PAIRS) if options.judged else options.pair
    if unknown := [name for name in names if name not in pairs]:
        raise PairsMissing(f"There are no pictures for the pair {unknown[0]}.")
    chosen = {name: pairs[name] for name in names}
    folder = make_folder(options.folder)
    for file in paint(chosen, folder, options.settings, options.checkout.resolve()):
        print(file, flush=True)


def _sheets(options: argparse.Namespace) -> None:
    folder = make_folder(options.output)
    if any(folder.iterdir()):
        raise FolderUnusable(f"{folder} is not empty; name a new folder.")
    pairs = pairs_by_name(options.photos, options.styles)
    pictures = _common_pictures(options.folder, _names(options), pairs)
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    key = make_key(pictures, _raters(options.raters), seed)
    file = _key_file(options.key, folder, key)
    # All or nothing: a folder with some of the sheets would have to be removed by hand.
    with tempfile.TemporaryDirectory(dir=folder, prefix=".sheets-") as unfinished:
        _write_sheets(Path(unfinished), key, pairs, pictures)
        key.write(file)
        for written in Path(unfinished).iterdir():
            written.rename(folder / written.name)
    print(f"{len(key.trials)} sheets for {len(key.raters)} raters: {folder}\nKey: {file}")


def _write_sheets(
    folder: Path,
    key: Key,
    pairs: Mapping[str, Pair],
    pictures: Mapping[str, Mapping[str, Path]],
) -> None:
    for trial in key.trials:
        pair = pairs[trial.pair]
        a, b = (read_image(pictures[name][trial.pair]) for name in (trial.a, trial.b))
        photo, style = read_image(pair.content), read_image(pair.style)
        try:
            sheet = draw_sheet(trial.sheet, photo, style, a, b)
        except PicturesDiffer as error:
            # The name of the sheet would say nothing without the key.
            raise PicturesDiffer(f"{trial.pair}: {error}") from None
        sheet.save(folder / f"sheet-{trial.sheet}.png")
    (folder / "instructions.txt").write_text(INSTRUCTIONS)
    for rater in key.raters:
        order = key.order(rater)
        names = "".join(f"sheet-{sheet}.png\n" for sheet in order)
        (folder / f"order-{rater}.txt").write_text(names)
        (folder / f"form-{rater}.csv").write_text(empty_form(rater, order))


def _tally(options: argparse.Namespace) -> None:
    key = Key.read(options.key)
    tally = Tally(key, read_forms(options.forms, key))
    folder = make_folder(options.output or options.key.parent)
    print(f"{tally.text()}\n")
    (folder / "tally.md").write_text(tally.markdown())
    (folder / "tally.json").write_text(json.dumps(tally.data(), indent=1) + "\n")
    for name in ("tally.md", "tally.json"):
        print(folder / name)


def _names(options: argparse.Namespace) -> tuple[str, str]:
    first, second = options.names or [Path(place).name for place in options.folder]
    if first == second or TIE in (first, second):
        raise BenchmarkError(f"Two --names are needed, neither of them {TIE!r}.")
    return first, second


def _raters(names: Sequence[str]) -> list[str]:
    for name in names:
        if slug(name) != name or names.count(name) > 1:
            raise BenchmarkError(
                f"{name!r} cannot name a rater: each needs a name of their own, of letters, "
                "digits, dots and hyphens."
            )
    return list(names)


def _common_pictures(
    places: Sequence[str], names: tuple[str, str], pairs: Mapping[str, Pair]
) -> dict[str, dict[str, Path]]:
    """Return the pictures of the pairs that both places have, by name and pair."""
    first, second = (find_pictures(place, pairs) for place in places)
    common = sorted(set(first) & set(second))
    if not common:
        raise PairsMissing(f"{places[0]} and {places[1]} have no pair in common.")
    if left_out := sorted(set(first) ^ set(second)):
        print(f"Left out, as only one of the two has them: {', '.join(left_out)}.")
    return {
        name: {pair: found[pair] for pair in common}
        for name, found in zip(names, (first, second), strict=True)
    }


def _key_file(file: Path | None, folder: Path, key: Key) -> Path:
    """Return where the key goes, which is not where the raters look."""
    if file is None:
        set_name = key.trials[0].sheet.partition("-")[0]
        file = make_folder(cache_folder("blind") / set_name) / "key.json"
    file = make_folder(file.parent) / file.name
    if file.is_relative_to(folder):
        raise FolderUnusable(f"The key {file} would lie where the raters look; name another place.")
    if file.exists():
        raise FolderUnusable(f"{file} exists already; name another file with --key.")
    return file


if __name__ == "__main__":
    sys.exit(main())
