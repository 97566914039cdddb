"""How a picture is cut so that each part can be looked at alone, and nothing be missed."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise, product

from transfer.settings import LAYERS

ALIGNMENT_PX = 16
"""Four poolings: cuts elsewhere would pool other positions together than the whole picture does."""


@dataclass(frozen=True)
class Span:
    """Along one edge: from where to where a tile answers, and what it has to see for that, px."""

    begin: int
    end: int
    seen_begin: int
    seen_end: int

    def positions(self, halvings: int) -> slice:
        """The layer's positions that the tile answers for, in the layer of the whole picture."""
        # Poolings round down; every cut but the picture's own edge is a multiple of 16.
        return slice(self.begin >> halvings, self.end >> halvings)

    def in_window(self, halvings: int) -> slice:
        """The same positions in the layer of what the tile sees."""
        shift = self.seen_begin >> halvings
        return slice((self.begin >> halvings) - shift, (self.end >> halvings) - shift)

    @property
    def seen(self) -> slice:
        """What the tile sees, in the whole picture."""
        return slice(self.seen_begin, self.seen_end)


@dataclass(frozen=True)
class Tile:
    """A part of a picture."""

    rows: Span
    columns: Span

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns that it sees, in the whole picture."""
        return self.rows.seen, self.columns.seen

    @property
    def window_pixels(self) -> int:
        """How many these are."""
        return (self.rows.seen_end - self.rows.seen_begin) * (
            self.columns.seen_end - self.columns.seen_begin
        )

    def positions(self, layer: str) -> tuple[slice, slice]:
        """Rows and columns of the layer that it answers for, in the whole picture's layer."""
        return self.rows.positions(halvings(layer)), self.columns.positions(halvings(layer))

    def in_window(self, layer: str) -> tuple[slice, slice]:
        """The same rows and columns in the layer of its window."""
        return self.rows.in_window(halvings(layer)), self.columns.in_window(halvings(layer))


def halvings(layer: str) -> int:
    """How many poolings lie before a layer."""
    return int(layer[len("relu")]) - 1


def margin_px(layers: Collection[str]) -> int:
    """How far around a tile the deepest of these layers looks, in px, rounded up to 16.

    A position of a layer after k poolings stands for 2^k px, and each convolution of that stage
    looks one position, 2^k px, farther: 70 px at relu5_1, so 80.
    """
    deepest = max(LAYERS.index(layer) for layer in layers)
    reach = sum(1 << halvings(layer) for layer in LAYERS[: deepest + 1])
    return -(-reach // ALIGNMENT_PX) * ALIGNMENT_PX


def cut(height: int, width: int, tile_px: int, margin: int) -> tuple[Tile, ...]:
    """A picture in tiles of nearly equal size.

    The gradient of sums over all positions is the sum over tiles of the gradients of the sums over
    the positions that a tile answers for, each taken with respect to all that the tile sees. That
    is exact as soon as the tile sees the receptive field of these positions (`margin_px`); what is
    computed in the margin beyond is thrown away. At the picture's borders the window ends there
    too, and the backbone mirrors it as it does the whole picture.

    Args:
        height: of the picture.
        width: of the picture.
        tile_px: longest edge of a tile without its margin, at least 16.
        margin: seen around it, a multiple of 16, px.
    """
    return tuple(
        Tile(rows, columns)
        for rows, columns in product(
            _spans(height, tile_px, margin), _spans(width, tile_px, margin)
        )
    )


def _spans(edge_px: int, tile_px: int, margin: int) -> list[Span]:
    units = max(1, edge_px // ALIGNMENT_PX)
    count = -(-units // max(1, tile_px // ALIGNMENT_PX))
    cuts = [units * number // count * ALIGNMENT_PX for number in range(count)] + [edge_px]
    return [
        Span(begin, end, max(0, begin - margin), min(edge_px, end + margin))
        for begin, end in pairwise(cuts)
    ]
