"""Folders of finished pictures, named by pair: ``tuebingen-x-starry-night.png``."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from benchmarks.common.errors import PairsMissing
from benchmarks.common.pairs import Pair

PAIR = "{pair}"
"""Stands for the name of a pair in a pattern of paths."""
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
_ROLES = ("content", "style")


def pairs_by_name(photos: Sequence[Path], styles: Sequence[Path]) -> dict[str, Pair]:
    """Return every photo with every style, by the name that a file of their painting has.

    In a folder of pictures ``content-NAME.*`` are photos and ``style-NAME.*`` are styles; other
    pictures there are whatever the folder is named for.

    Raises:
        PairsMissing: if a folder is not there or has no such picture, or two pairs share a name.
    """
    contents, others = (
        _pictures(folders, role) for folders, role in zip((photos, styles), _ROLES, strict=True)
    )
    pairs: dict[str, Pair] = {}
    for content_name, content in contents:
        for style_name, style in others:
            name = slug(f"{content_name} x {style_name}")
            if name in pairs:
                raise PairsMissing(f"Two pairs are named {name}; rename one of their pictures.")
            pairs[name] = Pair(content, style)
    return pairs


def slug(name: str) -> str:
    """Return a name as part of a file's name, as `benchmarks.quality` does."""
    return re.sub(r"[^\w.]+", "-", name)


def find_pictures(place: str, names: Collection[str]) -> dict[str, Path]:
    """Find the finished pictures of those pairs that have one, by the pair's name.

    Args:
        place: a folder with a picture for each pair, or a pattern such as
            ``~/.cache/pic2paint/quality/{pair}/standard-0.5-512px-*.png``.
        names: of the pairs.

    Raises:
        PairsMissing: if there are none, or a pair has several.
    """
    pattern = Path(place).expanduser()
    if PAIR not in place:
        if not pattern.is_dir():
            raise PairsMissing(f"There is no folder {pattern}.")
        pattern /= f"{PAIR}.*"
    found = {}
    for name in names:
        whole = Path(str(pattern).replace(PAIR, name)).absolute()
        matches = Path(whole.anchor).glob(str(whole.relative_to(whole.anchor)))
        pictures = sorted(path for path in matches if path.suffix.lower() in _SUFFIXES)
        if len(pictures) > 1:
            raise PairsMissing(
                f"{place} has {len(pictures)} pictures for {name}; name a narrower pattern."
            )
        if pictures:
            found[name] = pictures[0]
    if not found:
        raise PairsMissing(
            f"{place} has no picture named by a pair, such as {next(iter(names), 'none')}.png."
        )
    return found


def _pictures(folders: Sequence[Path], role: str) -> list[tuple[str, Path]]:
    """Return name and path of all pictures that may have that role."""
    found = []
    for folder in folders:
        if not folder.is_dir():
            raise PairsMissing(f"There is no folder {folder}.")
        for path in sorted(folder.iterdir()):
            named_role, dash, name = path.stem.partition("-")
            is_named = bool(dash) and named_role in _ROLES
            if path.suffix.lower() in _SUFFIXES and (not is_named or named_role == role):
                found.append((name if is_named else path.stem, path.resolve()))
    if not found:
        raise PairsMissing(f"There is no {role} picture in {', '.join(map(str, folders))}.")
    return found
