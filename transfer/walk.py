"""A way through the layers of a picture, whole or tile by tile, and back.

Tiles do not go through the whole network at once: after the first stages, and after each that
follows, the map is put together whole, and cut anew. It is small by then, and tiles see a few
positions around themselves instead of the receptive field of the deepest layer.
"""

from collections.abc import Callable, Collection
from functools import partial

import torch
from torch import Tensor

from transfer.backbones.trace import Trace
from transfer.backbones.vgg import VggBackbone
from transfer.settings import Pooling
from transfer.tiles import Leg, Tile, cut, halvings, legs

Visit = Callable[[str, Tensor, slice, slice], None]
"""Told of a layer, some of its features, and their rows and columns in the whole layer."""

Pull = Callable[[str, Tensor, slice, slice], Tensor | None]
"""From the same, the gradient with respect to these features; None if nothing depends on them."""

Back = Callable[[Pull], Tensor]
"""The gradient with respect to the picture, shape (1, C, H, W), from those of its layers. To be
called once: what is remembered for it is given back on the way."""


class Walk:
    """A way through the layers of a picture, leg by leg and tile by tile.

    Args:
        backbone: whose layers.
        pooling: between its stages.
        layers: that are wanted.
        height: of the picture, px.
        width: of the picture, px.
        tile_px: longest edge of a tile; if the picture is no larger, it is looked at in one go.
    """

    def __init__(
        self,
        backbone: VggBackbone,
        pooling: Pooling,
        layers: Collection[str],
        height: int,
        width: int,
        tile_px: int,
    ) -> None:
        self._backbone = backbone
        self._pooling = pooling
        self._layers = layers
        self.is_whole = tile_px >= max(height, width)
        self.legs = legs(layers, is_whole=self.is_whole)
        self._tiles = {
            leg: cut(leg, height >> leg.first, width >> leg.first, tile_px, leg.margin(layers))
            for leg in self.legs
        }

    @torch.no_grad()
    def forward(self, image: Tensor, visit: Visit) -> None:
        """Look at all of a picture, shape (1, C, H, W) of one or three channels."""
        self._maps(image, visit)

    @torch.no_grad()
    def there(self, image: Tensor, visit: Visit) -> Back:
        """Look at all of a picture; with the way back from there."""
        if not self.is_whole:
            return partial(self._back, self._maps(image, visit))
        (leg,) = self.legs
        (tile,) = self._tiles[leg]
        trace = self._backbone.trace(self._wanted(leg))
        self._run(leg, tile, image, visit, trace)
        return partial(self._back_at_once, leg, tile, image, trace)

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

    def _wanted(self, leg: Leg) -> list[str]:
        return [layer for layer in self._layers if leg.has(layer)]

    def _maps(self, image: Tensor, visit: Visit) -> list[Tensor]:
        """Of each leg; that of the first is the picture."""
        maps = [image]
        for leg in self.legs:
            source = maps[-1]
            for tile in self._tiles[leg]:
                found = self._run(leg, tile, source, visit)
                if found is not None:
                    if maps[-1] is source:
                        maps.append(_room_behind(leg, source, found))
                    rows, columns = tile.positions(leg.poolings)
                    maps[-1][:, :, rows, columns] = found[:, :, *tile.in_window(leg.poolings)]
        return maps

    @torch.no_grad()
    def _back(self, maps: list[Tensor], pull: Pull) -> Tensor:
        upstream: Tensor | None = None
        for leg in reversed(self.legs):
            source = maps.pop()
            gradient = torch.zeros_like(source)
            for tile in self._tiles[leg]:
                trace = self._backbone.trace(self._wanted(leg))
                found = self._run(leg, tile, source, _unseen, trace)
                behind = None
                if found is not None and upstream is not None:
                    behind = _embedded(upstream, leg, tile, found.shape)
                del found
                mine = trace.backward(partial(_pulled, leg, tile, pull), behind)
                _add(mine, _window(gradient, tile))
            upstream = gradient
        assert upstream is not None  # noqa: S101 - there is at least one leg
        return upstream

    @torch.no_grad()
    def _back_at_once(
        self, leg: Leg, tile: Tile, image: Tensor, trace: Trace, pull: Pull
    ) -> Tensor:
        gradient = torch.zeros_like(image)
        _add(trace.backward(partial(_pulled, leg, tile, pull), None), gradient)
        return gradient

    def _run(
        self,
        leg: Leg,
        tile: Tile,
        source: Tensor,
        visit: Visit,
        trace: Trace | None = None,
        layers: Collection[str] | None = None,
    ) -> Tensor | None:
        """One tile, from its window of the leg's map; the map behind the whole window."""
        window = _window(source, tile)
        if leg.first == 0:
            window = window.expand(-1, 3, -1, -1)

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


def _embedded(upstream: Tensor, leg: Leg, tile: Tile, shape: torch.Size) -> Tensor:
    """The gradient behind a window, of which the tile answers for a part."""
    rows, columns = tile.in_window(leg.poolings)
    found = torch.zeros(shape, dtype=upstream.dtype, device=upstream.device)
    found = found.contiguous(memory_format=torch.channels_last)
    found[:, :, rows, columns] = upstream[:, :, *tile.positions(leg.poolings)]
    return found


def _window(source: Tensor, tile: Tile) -> Tensor:
    rows, columns = tile.window
    return source[:, :, rows, columns]


def _room_behind(leg: Leg, source: Tensor, part: Tensor) -> Tensor:
    """For the map that a part is of, laid out as convolutions want it."""
    height, width = (edge >> leg.poolings for edge in source.shape[2:])
    return torch.empty(
        (1, part.shape[1], height, width),
        dtype=part.dtype,
        device=part.device,
        memory_format=torch.channels_last,
    )
