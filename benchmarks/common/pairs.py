"""Pairs of a content and a style, and orders to paint one."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.errors import PairsMissing

FIXED_PAIRS = (
    ("tuebingen", "starry-night"),
    ("tuebingen", "shipwreck"),
    ("lion", "picasso"),
    ("stanford-tower", "mosaic"),
    ("ginzan-night", "wheat-field"),
    ("ginzan-night", "starry-night"),
)
"""Measured by default, every content and every style at least once. Never tune on these."""

JUDGED_PAIRS = (
    # Faces.
    ("portrait-close", "picasso"),
    ("portrait-close", "watercolor-woman"),
    ("portrait-close", "red-chalk"),
    ("woman-street", "starry-night"),
    ("woman-street", "great-wave"),
    ("woman-street", "de-kooning"),
    ("group", "palette-knife"),
    ("group", "wheat-field"),
    # Night.
    ("stanford-tower", "starry-night"),
    ("umbrella-night", "autumn"),
    ("car-neon", "tubes"),
    ("house-night", "wheat-field"),
    ("ginzan-night", "shipwreck"),
    # Ink, chalk, flat colors.
    ("lion", "red-chalk"),
    ("street-colors", "ink-city"),
    ("dahlias", "flat-map"),
    ("tiger", "bamboo-ink"),
    ("tuebingen", "great-wave"),
    # Others.
    ("toucan", "straw-hat"),
    ("street-colors", "watercolor-house"),
    ("dahlias", "mosaic"),
    ("silhouette", "starry-night"),
    ("tiger", "palette-knife"),
    ("church-dark", "shipwreck"),
)
"""Judged blind by raters. Chosen before any of them was painted; never tune on these."""

_FILE = re.compile(r"(content|style)-(.+)\.jpg")


@dataclass(frozen=True)
class Pair:
    """A content picture and a style picture."""

    content: Path
    style: Path

    @property
    def name(self) -> str:
        """Name in tables: ``"tuebingen x starry-night"``."""
        return f"{_short(self.content)} x {_short(self.style)}"


@dataclass(frozen=True)
class Order:
    """A pair to be painted at one size, by any engine."""

    pair: Pair
    size_px: int
    """Long edge."""
    seed: int
    device: str
    """Device of engines that choose for themselves: cuda where there is one, otherwise cpu."""


Identity = Mapping[str, str | int | float]
"""Properties, apart from the pictures, that decide how a painting looks, and its device."""


def all_pairs(folder: Path) -> list[Pair]:
    """Return every ``content-*.jpg`` of a folder with every ``style-*.jpg``, by name.

    Raises:
        PairsMissing: if there is no such folder, or no pair in it.
    """
    if not folder.is_dir():
        raise PairsMissing(f"There is no folder {folder}; --pictures names the one to use.")
    contents, styles = (sorted(folder.glob(f"{role}-*.jpg")) for role in ("content", "style"))
    if not contents or not styles:
        raise PairsMissing(f"{folder} has no pair: content-*.jpg and style-*.jpg are needed.")
    return [Pair(content.resolve(), style.resolve()) for content in contents for style in styles]


def named_pairs(folder: Path, names: Sequence[tuple[str, str]]) -> list[Pair]:
    """Return the pairs with these names of content and style, in this order.

    Raises:
        PairsMissing: if one of them is not in the folder.
    """
    by_name = {pair.name: pair for pair in all_pairs(folder)}
    wanted = [f"{content} x {style}" for content, style in names]
    for name in wanted:
        if name not in by_name:
            raise PairsMissing(f"{folder} has no pair {name}; --all takes those that are there.")
    return [by_name[name] for name in wanted]


def tuning_pairs(folder: Path) -> list[Pair]:
    """Return all pairs but the fixed ones.

    Raises:
        PairsMissing: if there are none.
    """
    fixed = {f"{content} x {style}" for content, style in FIXED_PAIRS}
    found = [pair for pair in all_pairs(folder) if pair.name not in fixed]
    if not found:
        raise PairsMissing(f"{folder} has no pair beside the fixed ones.")
    return found


def _short(path: Path) -> str:
    match = _FILE.fullmatch(path.name)
    return match[2] if match else path.stem
