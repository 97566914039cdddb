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

from transfer.backbones.backward import SavedForBackward
from transfer.backbones.vgg import VggBackbone
from transfer.features.fp16 import from_fp16, to_fp16
from transfer.features.tiling import StageGroup, Tile, pooling_depth, split, stage_groups
from transfer.imaging.gamut import clamp
from transfer.memory.malloc import trim_malloc
from transfer.settings import Pooling

OnTile = Callable[[str, Tensor, slice, slice], None]
"""Told of a layer, some of its features, and their rows and columns in the whole layer."""

GradientFor = Callable[[str, Tensor, slice, slice], Tensor | None]
"""From the same, the gradient with respect to these features; None if nothing depends on them."""

Backward = Callable[[GradientFor], Tensor]
"""The gradient with respect to the picture, shape (1, C, H, W), from those of its layers. To be
called once: what is remembered for it is given back on the way."""


_LARGE = 3_000_000
"""Pixels, from which on a walk takes so long that what is trimmed may be mapped anew."""


@dataclass(frozen=True)
class _Begin:
    """Where the way back through a leg begins."""

    group: StageGroup
    shape: torch.Size
    """Of its map."""
    left: "Tensor | list[SavedForBackward]"
    """The map itself; or what the way there has left, tile by tile."""


class TiledExtractor:
    """A way through the layers of a picture, leg by leg and tile by tile.

    Args:
        backbone: whose layers.
        pooling: between its stages.
        layers: that are wanted.
        height: of the picture, px.
        width: of the picture, px.
        tile_px: longest edge of a tile; if the picture is no larger, it is looked at in one go.
        saved_from: the first stage, from 0 on, of which the way there leaves traces for the way
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
        saved_from: int | None = None,
    ) -> None:
        self._backbone = backbone
        self._pooling = pooling
        self._layers = layers
        self._is_large = backbone.device.type == "cpu" and height * width >= _LARGE
        self.is_whole = tile_px >= max(height, width)
        self._keeps_halves = backbone.is_fp16 and not self.is_whole
        self._traced_from = 0 if self.is_whole else saved_from
        self.legs = stage_groups(layers, is_whole=self.is_whole)
        self._tiles = {
            group: split(
                group, height >> group.first, width >> group.first, tile_px, group.margin(layers)
            )
            for group in self.legs
        }

    @torch.no_grad()
    def forward(self, image: Tensor, on_tile: OnTile) -> None:
        """Look at all of a picture, as it will be shown, of shape (1, C, H, W), C being 1 or 3."""
        source: Tensor | None = image
        for group in self.legs:
            assert source is not None  # noqa: S101 - only the last leg has no map behind it
            source = self._run_group(group, source, on_tile, None)

    @torch.no_grad()
    def forward_saving(self, image: Tensor, on_tile: OnTile) -> Backward:
        """Look at all of a picture; with the way back from there."""
        begins: list[_Begin] = []
        source: Tensor | None = image
        for group in self.legs:
            assert source is not None  # noqa: S101 - only the last leg has no map behind it
            is_saved = self._traced_from is not None and group.first >= self._traced_from
            saved_tiles: list[SavedForBackward] | None = [] if is_saved else None
            grad_output = self._run_group(group, source, on_tile, saved_tiles)
            # A map is of no use any more where traces were left.
            begins.append(
                _Begin(group, source.shape, source if saved_tiles is None else saved_tiles)
            )
            source = grad_output
        self._trim()
        return partial(self._back, begins)

    @torch.no_grad()
    def recompute(self, image: Tensor, layer: str, rows: slice, columns: slice) -> Tensor:
        """Features of the first leg that `forward` has shown, computed anew."""
        group = self.legs[0]
        found: list[Tensor] = []

        def on_features(_: str, features: Tensor, *__: slice) -> None:
            found.append(features)

        place = rows.start, columns.start
        poolings = pooling_depth(layer)
        tile = next(
            tile
            for tile in self._tiles[group]
            if tuple(span.start for span in tile.positions(poolings)) == place
        )
        self._run(group, tile, image, on_features, layers=[layer])
        return found[0]

    def pack(self, features: Tensor) -> Tensor:
        """Features of a tile for `unpack`: in little room, and without what else it saw.

        Where gradients are in half precision, tiles keep all that they keep in it.
        """
        if self._keeps_halves:
            return to_fp16(features)
        return features.contiguous(memory_format=torch.channels_last)

    def unpack(self, kept: Tensor) -> Tensor:
        """What was given to `pack`, in single precision."""
        return from_fp16(kept, torch.float32) if self._keeps_halves else kept

    def _wanted(self, group: StageGroup) -> list[str]:
        return [layer for layer in self._layers if group.has(layer)]

    def _run_group(
        self,
        group: StageGroup,
        source: Tensor,
        on_tile: OnTile,
        saved_tiles: list[SavedForBackward] | None,
    ) -> Tensor | None:
        """The map behind a leg, from its own; None behind the last one."""
        whole: Tensor | None = None
        for tile in self._tiles[group]:
            saved = None
            if saved_tiles is not None:
                saved = self._backbone.start_saving(
                    self._wanted(group), is_packed=not self.is_whole
                )
                saved_tiles.append(saved)
            found = self._run(group, tile, source, on_tile, saved)
            if found is not None:
                mine = found[:, :, *tile.in_window(group.poolings)]
                if whole is None:
                    dtype = torch.float16 if self._keeps_halves else mine.dtype
                    whole = _map_buffer(group, source, mine.shape[1], dtype)
                buffer = whole[:, :, *tile.positions(group.poolings)]
                if self._keeps_halves:
                    to_fp16(mine, buffer)
                else:
                    buffer.copy_(mine)
        return whole

    @torch.no_grad()
    def _back(self, begins: list[_Begin], gradient_for: GradientFor) -> Tensor:
        upstream: Tensor | None = None
        while begins:
            begin = begins.pop()
            group = begin.group
            gradient = self._gradient_buffer(begin.shape)
            for tile in self._tiles[group]:
                if isinstance(begin.left, Tensor):
                    saved = self._backbone.start_saving(self._wanted(group))
                    # Only gradients follow from this: it may be as exact as they are.
                    self._run(group, tile, begin.left, _unseen, saved, low_precision=True)
                else:
                    saved = begin.left.pop(0)
                grad_output = None if upstream is None else _embedded(upstream, group, tile)
                mine = saved.backward(
                    partial(_add_tile_gradient, group, tile, gradient_for), grad_output
                )
                _add(mine, _window(gradient, tile))
            upstream = gradient
            self._trim()
        assert upstream is not None  # noqa: S101 - there is at least one leg
        return upstream

    def _trim(self) -> None:
        """Without the holes that tiles leave in the heap: an eighth of a gigabyte and more."""
        if self._is_large:
            trim_malloc()

    def _gradient_buffer(self, shape: torch.Size) -> Tensor:
        """For the gradient of a map or a picture."""
        device = self._backbone.device
        if shape[1] <= 3:
            return torch.zeros(shape, device=device)
        # In the precision in which gradients come: but for a few positions between tiles, each
        # comes from one tile.
        return _map(shape, self._backbone.dtype_back, device).zero_()

    def _run(
        self,
        group: StageGroup,
        tile: Tile,
        source: Tensor,
        on_tile: OnTile,
        saved: SavedForBackward | None = None,
        layers: Collection[str] | None = None,
        *,
        low_precision: bool = False,
    ) -> Tensor | None:
        """One tile, from its window of the leg's map; the map behind the whole window."""
        window = _window(source, tile)
        if group.first == 0:
            window = clamp(window).expand(-1, 3, -1, -1)
        elif self._keeps_halves:
            dtype = self._backbone.dtype_back if low_precision else torch.float32
            window = from_fp16(window, dtype)

        def on_features(layer: str, features: Tensor) -> None:
            poolings = pooling_depth(layer) - group.first
            rows, columns = tile.in_window(poolings)
            on_tile(layer, features[:, :, rows, columns], *tile.positions(poolings))

        return self._backbone.run(
            window,
            range(group.first, group.last + 1),
            self._wanted(group) if layers is None else layers,
            on_features,
            self._pooling,
            has_map=layers is None and not group.is_end,
            saved=saved,
            low_precision=low_precision,
        )


def _unseen(*_: object) -> None:
    """What was looked at on the first way."""


def _add_tile_gradient(
    group: StageGroup,
    tile: Tile,
    gradient_for: GradientFor,
    layer: str,
    features: Tensor,
    gradient: Tensor | None,
) -> Tensor | None:
    """`start_saving.Add` of the positions that a tile answers for."""
    poolings = pooling_depth(layer) - group.first
    here = (slice(None), slice(None), *tile.in_window(poolings))
    mine = gradient_for(layer, features[here], *tile.positions(poolings))
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


def _embedded(upstream: Tensor, group: StageGroup, tile: Tile) -> Tensor:
    """The gradient behind a window, of which the tile answers for a part."""
    height, width = ((seen.stop - seen.start) >> group.poolings for seen in tile.window)
    shape = 1, upstream.shape[1], height, width
    found = _map(shape, upstream.dtype, upstream.device).zero_()
    rows, columns = tile.in_window(group.poolings)
    found[:, :, rows, columns] = upstream[:, :, *tile.positions(group.poolings)]
    return found


def _window(source: Tensor, tile: Tile) -> Tensor:
    rows, columns = tile.window
    return source[:, :, rows, columns]


def _map_buffer(group: StageGroup, source: Tensor, channels: int, dtype: torch.dtype) -> Tensor:
    """For the map behind a leg, from its own."""
    height, width = (edge >> group.poolings for edge in source.shape[2:])
    return _map((1, channels, height, width), dtype, source.device)


def _map(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Room for a map, laid out as convolutions want it."""
    return torch.empty(shape, dtype=dtype, device=device, memory_format=torch.channels_last)
