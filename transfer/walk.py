"""A way through the layers of a picture, whole or tile by tile, and back.

Tiles do not go through the whole network at once: after the first stages, and after each that
follows, the map is put together whole, and cut anew. It is small by then, and tiles see a few
positions around themselves instead of the receptive field of the deepest layer.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from transfer.backbones.trace import Trace
from transfer.backbones.vgg import VggBackbone
from transfer.gamut import shown
from transfer.halves import halved, restored
from transfer.heap import trim_heap
from transfer.settings import Pooling
from transfer.tiles import Leg, Tile, cut, halvings, legs

Visit = Callable[[str, Tensor, slice, slice], None]
"""Told of a layer, some of its features, and their rows and columns in the whole layer."""

Pull = Callable[[str, Tensor, slice, slice], Tensor | None]
"""From the same, the gradient with respect to these features; None if nothing depends on them."""

Back = Callable[[Pull], Tensor]
"""The gradient with respect to the picture, shape (1, C, H, W), from those of its layers. To be
called once: what is remembered for it is given back on the way."""


_LARGE = 3_000_000
"""Pixels, from which on a walk takes so long that what is trimmed may be mapped anew."""


@dataclass(frozen=True)
class _Begin:
    """Where the way back through a leg begins."""

    leg: Leg
    shape: torch.Size
    """Of its map."""
    left: "Tensor | list[Trace]"
    """The map itself; or what the way there has left, tile by tile."""


class Walk:
    """A way through the layers of a picture, leg by leg and tile by tile.

    Args:
        backbone: whose layers.
        pooling: between its stages.
        layers: that are wanted.
        height: of the picture, px.
        width: of the picture, px.
        tile_px: longest edge of a tile; if the picture is no larger, it is looked at in one go.
        traced_from: the first stage, from 0 on, of which the way there leaves traces for the way
            back; the others are computed once more, in the precision of gradients. None: all of
            them are. Without meaning in one go.
    """

    def __init__(
        self,
        backbone: VggBackbone,
        pooling: Pooling,
        layers: Collection[str],
        height: int,
        width: int,
        tile_px: int,
        traced_from: int | None = None,
    ) -> None:
        self._backbone = backbone
        self._pooling = pooling
        self._layers = layers
        self._is_large = backbone.device.type == "cpu" and height * width >= _LARGE
        self.is_whole = tile_px >= max(height, width)
        self._keeps_halves = backbone.is_halved and not self.is_whole
        self._traced_from = 0 if self.is_whole else traced_from
        self.legs = legs(layers, is_whole=self.is_whole)
        self._tiles = {
            leg: cut(leg, height >> leg.first, width >> leg.first, tile_px, leg.margin(layers))
            for leg in self.legs
        }

    @torch.no_grad()
    def forward(self, image: Tensor, visit: Visit) -> None:
        """Look at all of a picture, as it will be shown, of shape (1, C, H, W), C being 1 or 3."""
        source: Tensor | None = image
        for leg in self.legs:
            assert source is not None  # noqa: S101 - only the last leg has no map behind it
            source = self._there(leg, source, visit, None)

    @torch.no_grad()
    def there(self, image: Tensor, visit: Visit) -> Back:
        """Look at all of a picture; with the way back from there."""
        begins: list[_Begin] = []
        source: Tensor | None = image
        for leg in self.legs:
            assert source is not None  # noqa: S101 - only the last leg has no map behind it
            is_traced = self._traced_from is not None and leg.first >= self._traced_from
            traces: list[Trace] | None = [] if is_traced else None
            behind = self._there(leg, source, visit, traces)
            # A map is of no use any more where traces were left.
            begins.append(_Begin(leg, source.shape, source if traces is None else traces))
            source = behind
        self._trim()
        return partial(self._back, begins)

    @torch.no_grad()
    def again(self, image: Tensor, layer: str, rows: slice, columns: slice) -> Tensor:
        """Features of the first leg that `forward` has shown, computed anew."""
        leg = self.legs[0]
        found: list[Tensor] = []

        def see(_: str, features: Tensor, *__: slice) -> None:
            found.append(features)

        place = rows.start, columns.start
        poolings = halvings(layer)
        tile = next(
            tile
            for tile in self._tiles[leg]
            if tuple(span.start for span in tile.positions(poolings)) == place
        )
        self._run(leg, tile, image, see, layers=[layer])
        return found[0]

    def kept(self, features: Tensor) -> Tensor:
        """Features of a tile for `restored`: in little room, and without what else it saw.

        Where gradients are in half precision, tiles keep all that they keep in it.
        """
        if self._keeps_halves:
            return halved(features)
        return features.contiguous(memory_format=torch.channels_last)

    def restored(self, kept: Tensor) -> Tensor:
        """What was given to `kept`, in single precision."""
        return restored(kept, torch.float32) if self._keeps_halves else kept

    def _wanted(self, leg: Leg) -> list[str]:
        return [layer for layer in self._layers if leg.has(layer)]

    def _there(
        self, leg: Leg, source: Tensor, visit: Visit, traces: list[Trace] | None
    ) -> Tensor | None:
        """The map behind a leg, from its own; None behind the last one."""
        whole: Tensor | None = None
        for tile in self._tiles[leg]:
            trace = None
            if traces is not None:
                trace = self._backbone.trace(self._wanted(leg), is_packed=not self.is_whole)
                traces.append(trace)
            found = self._run(leg, tile, source, visit, trace)
            if found is not None:
                mine = found[:, :, *tile.in_window(leg.poolings)]
                if whole is None:
                    dtype = torch.float16 if self._keeps_halves else mine.dtype
                    whole = _room_behind(leg, source, mine.shape[1], dtype)
                room = whole[:, :, *tile.positions(leg.poolings)]
                if self._keeps_halves:
                    halved(mine, room)
                else:
                    room.copy_(mine)
        return whole

    @torch.no_grad()
    def _back(self, begins: list[_Begin], pull: Pull) -> Tensor:
        upstream: Tensor | None = None
        while begins:
            begin = begins.pop()
            leg = begin.leg
            gradient = self._room(begin.shape)
            for tile in self._tiles[leg]:
                if isinstance(begin.left, Tensor):
                    trace = self._backbone.trace(self._wanted(leg))
                    # Only gradients follow from this: it may be as exact as they are.
                    self._run(leg, tile, begin.left, _unseen, trace, is_rounded=True)
                else:
                    trace = begin.left.pop(0)
                behind = None if upstream is None else _embedded(upstream, leg, tile)
                mine = trace.backward(partial(_pulled, leg, tile, pull), behind)
                _add(mine, _window(gradient, tile))
            upstream = gradient
            self._trim()
        assert upstream is not None  # noqa: S101 - there is at least one leg
        return upstream

    def _trim(self) -> None:
        """Without the holes that tiles leave in the heap: an eighth of a gigabyte and more."""
        if self._is_large:
            trim_heap()

    def _room(self, shape: torch.Size) -> Tensor:
        """For the gradient of a map or a picture."""
        device = self._backbone.device
        if shape[1] <= 3:
            return torch.zeros(shape, device=device)
        # In the precision in which gradients come: but for a few positions between tiles, each
        # comes from one tile.
        return _map(shape, self._backbone.dtype_back, device).zero_()

    def _run(
        self,
        leg: Leg,
        tile: Tile,
        source: Tensor,
        visit: Visit,
        trace: Trace | None = None,
        layers: Collection[str] | None = None,
        *,
        is_rounded: bool = False,
    ) -> Tensor | None:
        """One tile, from its window of the leg's map; the map behind the whole window."""
        window = _window(source, tile)
        if leg.first == 0:
            window = shown(window).expand(-1, 3, -1, -1)
        elif self._keeps_halves:
            dtype = self._backbone.dtype_back if is_rounded else torch.float32
            window = restored(window, dtype)

        def see(layer: str, features: Tensor) -> None:
            poolings = halvings(layer) - leg.first
            rows, columns = tile.in_window(poolings)
            visit(layer, features[:, :, rows, columns], *tile.positions(poolings))

        return self._backbone.run(
            window,
            range(leg.first, leg.last + 1),
            self._wanted(leg) if layers is None else layers,
            see,
            self._pooling,
            has_map=layers is None and not leg.is_end,
            trace=trace,
            is_rounded=is_rounded,
        )


def _unseen(*_: object) -> None:
    """What was looked at on the first way."""


def _pulled(
    leg: Leg, tile: Tile, pull: Pull, layer: str, features: Tensor, gradient: Tensor | None
) -> Tensor | None:
    """`trace.Add` of the positions that a tile answers for."""
    poolings = halvings(layer) - leg.first
    here = (slice(None), slice(None), *tile.in_window(poolings))
    mine = pull(layer, features[here], *tile.positions(poolings))
    if mine is None:
        return gradient
    if gradient is None:
        if mine.shape == features.shape:
            return mine
        gradient = torch.zeros_like(features)
    gradient[here] += mine
    return gradient


def _add(mine: Tensor | None, gradient: Tensor) -> None:
    if mine is None:
        return
    if mine.shape[1] != gradient.shape[1]:
        # A picture of lightness alone was looked at as red, green and blue.
        mine = mine.sum(dim=1, keepdim=True, dtype=gradient.dtype)
    gradient += mine


def _embedded(upstream: Tensor, leg: Leg, tile: Tile) -> Tensor:
    """The gradient behind a window, of which the tile answers for a part."""
    height, width = ((seen.stop - seen.start) >> leg.poolings for seen in tile.window)
    shape = 1, upstream.shape[1], height, width
    found = _map(shape, upstream.dtype, upstream.device).zero_()
    rows, columns = tile.in_window(leg.poolings)
    found[:, :, rows, columns] = upstream[:, :, *tile.positions(leg.poolings)]
    return found


def _window(source: Tensor, tile: Tile) -> Tensor:
    rows, columns = tile.window
    return source[:, :, rows, columns]


def _room_behind(leg: Leg, source: Tensor, channels: int, dtype: torch.dtype) -> Tensor:
    """For the map behind a leg, from its own."""
    height, width = (edge >> leg.poolings for edge in source.shape[2:])
    return _map((1, channels, height, width), dtype, source.device)


def _map(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Room for a map, laid out as convolutions want it."""
    return torch.empty(shape, dtype=dtype, device=device, memory_format=torch.channels_last)
