"""How a picture is cut so that each part can be looked at alone, and nothing be missed."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise, product

from transfer.settings import LAYERS

_ALIGNMENT = 16
"""Cuts lie at multiples of it, whatever is cut: a multiple of all poolings between two maps."""

_FRONT = 2
"""Stages of the first leg. The map behind the first would be larger than the image itself."""


@dataclass(frozen=True)
class StageGroup:
    """Stages that are computed together, from one map that is kept whole to the next."""

    first: int
    """Stage, from 0: as many poolings lie before its map; that of the first leg is the image."""
    last: int
    is_end: bool
    """Whether no map is wanted behind it."""

    @property
    def poolings(self) -> int:
        """From its map to the next."""
        return self.last - self.first + (not self.is_end)

    def has(self, layer: str) -> bool:
        """Whether a layer lies in it."""
        return self.first <= pooling_depth(layer) <= self.last

    def margin(self, layers: Collection[str]) -> int:
        """How far around a tile it looks, in positions of its map.

        Each convolution looks one position farther, which after k poolings is 2^k positions of the
        map. Rounded up, so that windows begin where poolings begin.
        """
        seen = [layer for layer in LAYERS if self.has(layer)]
        if self.is_end:
            seen = seen[: 1 + max(seen.index(layer) for layer in layers if layer in seen)]
        reach = sum(1 << (pooling_depth(layer) - self.first) for layer in seen)
        unit = 1 << self.poolings
        return -(-reach // unit) * unit


@dataclass(frozen=True)
class Span:
    """Along one edge of a map: from where to where a tile answers, and what it sees for that."""

    begin: int
    end: int
    seen_begin: int
    seen_end: int

    def positions(self, poolings: int) -> slice:
        """What it answers for after some poolings, in the whole map there."""
        # Poolings round down; every cut but the map's own edge is a multiple of theirs.
        return slice(self.begin >> poolings, self.end >> poolings)

    def in_window(self, poolings: int) -> slice:
        """The same positions in what becomes of its window."""
        shift = self.seen_begin >> poolings
        return slice((self.begin >> poolings) - shift, (self.end >> poolings) - shift)

    @property
    def seen(self) -> slice:
        """What the tile sees, in the whole map."""
        return slice(self.seen_begin, self.seen_end)


@dataclass(frozen=True)
class Tile:
    """A part of a map."""

    rows: Span
    columns: Span

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns that it sees, in the whole map."""
        return self.rows.seen, self.columns.seen

    def positions(self, poolings: int) -> tuple[slice, slice]:
        """Rows and columns that it answers for after some poolings, in the whole map there."""
        return self.rows.positions(poolings), self.columns.positions(poolings)

    def in_window(self, poolings: int) -> tuple[slice, slice]:
        """The same rows and columns in what becomes of its window."""
        return self.rows.in_window(poolings), self.columns.in_window(poolings)


def pooling_depth(layer: str) -> int:
    """How many poolings lie before a layer."""
    return int(layer[len("relu")]) - 1


def stage_groups(layers: Collection[str], *, is_whole: bool) -> tuple[StageGroup, ...]:
    """How these layers are computed: in one go, or with maps between.

    Without maps between, each tile would see the receptive field of the deepest layer around
    itself, 70 px at relu5_1, and of a tile of 512 px two thirds as much again be thrown away.
    """
    deepest = max(pooling_depth(layer) for layer in layers)
    if is_whole or deepest < _FRONT:
        return (StageGroup(0, deepest, is_end=True),)
    front = StageGroup(0, _FRONT - 1, is_end=False)
    return front, *(
        StageGroup(stage, stage, is_end=stage == deepest) for stage in range(_FRONT, deepest + 1)
    )


def split(
    group: StageGroup, height: int, width: int, tile_px: int, margin: int
) -> tuple[Tile, ...]:
    """A leg's map in tiles of nearly equal size.

    The gradient of sums over all positions is the sum over tiles of the gradients of the sums over
    the positions that a tile answers for, each taken with respect to all that the tile sees. That
    is exact as soon as the tile sees the receptive field of these positions (`StageGroup.margin`);
    what is computed in the margin beyond is thrown away. At the map's borders the window ends there
    too, and the backbone mirrors it as it does the whole map.

    Args:
        group: whose map it is.
        height: of the map.
        width: of the map.
        tile_px: longest edge of a tile of the image, at least 16. Deeper maps have more channels:
            their tiles have fewer positions, but lie farther apart.
        margin: seen around it, in positions.
    """
    edge = max(_ALIGNMENT, tile_px >> max(0, group.first - 1))
    return tuple(
        Tile(rows, columns)
        for rows, columns in product(_spans(height, edge, margin), _spans(width, edge, margin))
    )


def _spans(whole: int, edge: int, margin: int) -> list[Span]:
    units = max(1, whole // _ALIGNMENT)
    count = -(-units // max(1, edge // _ALIGNMENT))
    cuts = [units * number // count * _ALIGNMENT for number in range(count)] + [whole]
    return [
        Span(begin, end, max(0, begin - margin), min(whole, end + margin))
        for begin, end in pairwise(cuts)
    ]
