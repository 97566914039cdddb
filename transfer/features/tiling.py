"""Tiles of a picture and of its feature maps, with the margins that make the parts exact."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise, product

from transfer.settings import LAYERS

_ALIGNMENT = 16
"""Positions that all cuts are multiples of: a multiple of all poolings between two maps."""

_FRONT_STAGES = 2
"""Stages of the first group: the map behind the first stage would be larger than the image."""


@dataclass(frozen=True)
class StageGroup:
    """Consecutive stages computed tile by tile, between two maps that are stored whole."""

    first: int
    """Number of the first stage, from 0, which is also the number of poolings before the input map;
    the image is the input map of stage 0."""
    last: int
    """Number of the last stage."""
    is_end: bool
    """True if no stage follows, so that no output map is needed."""

    @property
    def poolings(self) -> int:
        """Number of poolings between the input map and the output map."""
        return self.last - self.first + (not self.is_end)

    def has(self, layer: str) -> bool:
        """Return whether a layer lies in one of the stages."""
        return self.first <= pooling_depth(layer) <= self.last

    def margin(self, layers: Collection[str]) -> int:
        """Return how far around a tile its convolutions look, in positions of the input map.

        Each convolution looks one position farther, which after k poolings is 2^k positions of the
        map. The sum is rounded up, so that windows begin where poolings begin.
        """
        computed = [layer for layer in LAYERS if self.has(layer)]
        if self.is_end:
            deepest = max(computed.index(layer) for layer in layers if layer in computed)
            computed = computed[: deepest + 1]
        reach = sum(1 << (pooling_depth(layer) - self.first) for layer in computed)
        alignment = 1 << self.poolings
        return -(-reach // alignment) * alignment


@dataclass(frozen=True)
class Span:
    """Extent of a tile along one edge of a map: its own positions, and those that it reads."""

    begin: int
    """First position of the tile's own."""
    end: int
    """End of the tile's own positions."""
    window_begin: int
    """First position that the tile reads."""
    window_end: int
    """End of the positions that the tile reads."""

    def positions(self, poolings: int) -> slice:
        """Return the tile's own positions after some poolings, in the whole map there."""
        # Poolings round down; every cut but the map's own edge is a multiple of theirs.
        return slice(self.begin >> poolings, self.end >> poolings)

    def in_window(self, poolings: int) -> slice:
        """Return the same positions within the window after these poolings."""
        shift = self.window_begin >> poolings
        return slice((self.begin >> poolings) - shift, (self.end >> poolings) - shift)

    @property
    def window(self) -> slice:
        """Positions that the tile reads, in the whole map."""
        return slice(self.window_begin, self.window_end)


@dataclass(frozen=True)
class Tile:
    """Rectangle of a map, and the window around it from which it is computed."""

    rows: Span
    columns: Span

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns that the tile reads, in the whole map."""
        return self.rows.window, self.columns.window

    def positions(self, poolings: int) -> tuple[slice, slice]:
        """Return the tile's own rows and columns after some poolings, in the whole map there."""
        return self.rows.positions(poolings), self.columns.positions(poolings)

    def in_window(self, poolings: int) -> tuple[slice, slice]:
        """Return the same rows and columns within the window after these poolings."""
        return self.rows.in_window(poolings), self.columns.in_window(poolings)


def pooling_depth(layer: str) -> int:
    """Return the number of poolings before a layer."""
    return int(layer[len("relu")]) - 1


def stage_groups(layers: Collection[str], *, is_whole: bool) -> tuple[StageGroup, ...]:
    """Return the groups in which these layers are computed: one, or several with maps between.

    Without maps between, each tile would read the receptive field of the deepest layer around
    itself, 70 px at relu5_1; a tile of 512 px would compute two thirds more than it uses.
    """
    deepest = max(pooling_depth(layer) for layer in layers)
    if is_whole or deepest < _FRONT_STAGES:
        return (StageGroup(0, deepest, is_end=True),)
    front = StageGroup(0, _FRONT_STAGES - 1, is_end=False)
    return front, *(
        StageGroup(stage, stage, is_end=stage == deepest)
        for stage in range(_FRONT_STAGES, deepest + 1)
    )


def split(
    group: StageGroup, height: int, width: int, tile_px: int, margin: int
) -> tuple[Tile, ...]:
    """Cut a group's input map into tiles of nearly equal size.

    The gradient of sums over all positions is the sum over tiles of the gradients of the sums over
    each tile's own positions, each taken with respect to all positions that the tile reads. That
    is exact if the tile reads the receptive field of its own positions (`StageGroup.margin`);
    what is computed in the margin is discarded. At the map's borders the window ends there
    too, and the backbone mirrors it as it does the whole map.

    Args:
        group: stage group that reads the map.
        height: height of the map.
        width: width of the map.
        tile_px: longest edge of a tile of the image, at least 16. Deeper maps have more channels:
            their tiles have fewer positions, but lie farther apart.
        margin: positions that a tile reads around its own.
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
