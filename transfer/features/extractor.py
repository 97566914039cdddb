"""Features of a picture, whole or tile by tile, and the gradient with respect to the picture.

Tiles do not go through the whole network at once: after the first stages, and after each that
follows, the map is put together whole, and cut anew. It is small by then, and tiles read a few
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
"""Callback that is given a layer's name, some of its features, shape (1, C, H, W), and their rows
and columns in the whole layer."""

GradientFor = Callable[[str, Tensor, slice, slice], Tensor | None]
"""Callback that is given the same as `OnTile`, and returns the gradient with respect to these
features, or None if nothing depends on them."""

Backward = Callable[[GradientFor], Tensor]
"""Function that returns the gradient with respect to the picture, shape (1, C, H, W). It may be
called once: it frees what was saved for it."""


_LARGE_PIXELS = 3_000_000
"""Size of a picture from which on one pass takes so long that returning freed memory to the system,
and having it mapped anew, costs little beside it."""


@dataclass(frozen=True)
class _SavedGroup:
    """Stage group after the forward pass, as the backward pass needs it."""

    group: StageGroup
    shape: torch.Size
    """Shape of the group's input."""
    saved: "Tensor | list[SavedForBackward]"
    """The group's input, to compute the group anew; or what each tile has saved."""


class TiledExtractor:
    """Forward and backward pass over a picture, one stage group and one tile after the other.

    Args:
        backbone: network that computes the features.
        pooling: kind of pooling between its stages.
        layers: names of the layers to extract.
        height: height of the picture, px.
        width: width of the picture, px.
        tile_px: longest edge of a tile; a picture that is no larger is computed whole.
        saved_from: the first stage, from 0 on, that saves in the forward pass what the backward
            pass needs; the stages before it are computed once more, in the precision of gradients.
            None: all of them are. A whole picture saves everything.
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
        self._is_large = backbone.device.type == "cpu" and height * width >= _LARGE_PIXELS
        self.is_whole = tile_px >= max(height, width)
        """True if the picture is a single tile."""
        self._stores_fp16 = backbone.is_fp16 and not self.is_whole
        self._saved_from = 0 if self.is_whole else saved_from
        self._groups = stage_groups(layers, is_whole=self.is_whole)
        self._tiles = {
            group: split(
                group, height >> group.first, width >> group.first, tile_px, group.margin(layers)
            )
            for group in self._groups
        }

    @torch.no_grad()
    def forward(self, image: Tensor, on_tile: OnTile) -> None:
        """Compute the features of an image, clamped to [0, 1].

        Args:
            image: shape (1, C, H, W), C being 1 or 3.
            on_tile: called with the features of each layer and tile.
        """
        source: Tensor | None = image
        for group in self._groups:
            assert source is not None  # noqa: S101 - only the last group returns no map
            source = self._forward_group(group, source, on_tile, None)

    @torch.no_grad()
    def forward_saving(self, image: Tensor, on_tile: OnTile) -> Backward:
        """Compute the features as `forward` does, and return the backward pass."""
        saved_groups: list[_SavedGroup] = []
        source: Tensor | None = image
        for group in self._groups:
            assert source is not None  # noqa: S101 - only the last group returns no map
            is_saved = self._saved_from is not None and group.first >= self._saved_from
            saved_tiles: list[SavedForBackward] | None = [] if is_saved else None
            output = self._forward_group(group, source, on_tile, saved_tiles)
            # A map is of no use any more once its tiles have saved what they need.
            saved_groups.append(
                _SavedGroup(group, source.shape, source if saved_tiles is None else saved_tiles)
            )
            source = output
        self._trim_if_large()
        return partial(self._backward, saved_groups)

    @torch.no_grad()
    def recompute(self, image: Tensor, layer: str, rows: slice, columns: slice) -> Tensor:
        """Compute once more the features that `forward` gave at these rows and columns.

        The layer has to lie in the first stage group.
        """
        group = self._groups[0]
        tile_features: list[Tensor] = []

        def on_tile(_: str, features: Tensor, *__: slice) -> None:
            tile_features.append(features)

        begin = rows.start, columns.start
        poolings = pooling_depth(layer)
        tile = next(
            tile
            for tile in self._tiles[group]
            if tuple(span.start for span in tile.positions(poolings)) == begin
        )
        self._run_tile(group, tile, image, on_tile, layers=[layer])
        return tile_features[0]

    def pack(self, features: Tensor) -> Tensor:
        """Pack a tile's features for storage; `unpack` reverses it.

        The copy holds nothing of the tile's margin. It is in half precision if gradients are, as
        is everything that tiles store.
        """
        if self._stores_fp16:
            return to_fp16(features)
        return features.contiguous(memory_format=torch.channels_last)

    def unpack(self, packed: Tensor) -> Tensor:
        """Return the features that were given to `pack`, in single precision."""
        return from_fp16(packed, torch.float32) if self._stores_fp16 else packed

    def _layers_in(self, group: StageGroup) -> list[str]:
        return [layer for layer in self._layers if group.has(layer)]

    def _forward_group(
        self,
        group: StageGroup,
        source: Tensor,
        on_tile: OnTile,
        saved_tiles: list[SavedForBackward] | None,
    ) -> Tensor | None:
        """Compute a group's output map from its input; return None for the last group."""
        output: Tensor | None = None
        for tile in self._tiles[group]:
            saved = None
            if saved_tiles is not None:
                saved = self._backbone.start_saving(
                    self._layers_in(group), is_packed=not self.is_whole
                )
                saved_tiles.append(saved)
            window_output = self._run_tile(group, tile, source, on_tile, saved)
            if window_output is not None:
                tile_output = window_output[:, :, *tile.in_window(group.poolings)]
                if output is None:
                    dtype = torch.float16 if self._stores_fp16 else tile_output.dtype
                    output = _empty_output(group, source, tile_output.shape[1], dtype)
                buffer = output[:, :, *tile.positions(group.poolings)]
                if self._stores_fp16:
                    to_fp16(tile_output, buffer)
                else:
                    buffer.copy_(tile_output)
        return output

    @torch.no_grad()
    def _backward(self, saved_groups: list[_SavedGroup], gradient_for: GradientFor) -> Tensor:
        grad_output: Tensor | None = None
        while saved_groups:
            saved_group = saved_groups.pop()
            group = saved_group.group
            grad_input = self._zero_gradient(saved_group.shape)
            for tile in self._tiles[group]:
                if isinstance(saved_group.saved, Tensor):
                    saved = self._backbone.start_saving(self._layers_in(group))
                    # Only gradients follow from this: it may be as exact as they are.
                    self._run_tile(
                        group, tile, saved_group.saved, _ignore_tile, saved, low_precision=True
                    )
                else:
                    saved = saved_group.saved.pop(0)
                window_gradient = saved.backward(
                    partial(_add_tile_gradient, group, tile, gradient_for),
                    None if grad_output is None else _pad_to_window(grad_output, group, tile),
                )
                _add_window_gradient(window_gradient, _window(grad_input, tile))
            grad_output = grad_input
            self._trim_if_large()
        assert grad_output is not None  # noqa: S101 - there is at least one group
        return grad_output

    def _trim_if_large(self) -> None:
        """Give back the holes that tiles leave in the heap: an eighth of a gigabyte and more."""
        if self._is_large:
            trim_malloc()

    def _zero_gradient(self, shape: torch.Size) -> Tensor:
        """Return zeros for the gradient of a map or of the picture."""
        device = self._backbone.device
        if shape[1] <= 3:
            return torch.zeros(shape, device=device)
        # Nothing is lost in the precision of the gradients that are added up here: but for a few
        # positions between tiles, each gradient comes from one tile.
        return _empty_map(shape, self._backbone.gradient_dtype, device).zero_()

    def _run_tile(
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
        """Compute one tile from its window of the group's input; return its window of the output.

        With ``layers``, compute only these, and return None.
        """
        window = _window(source, tile)
        if group.first == 0:
            window = clamp(window).expand(-1, 3, -1, -1)
        elif self._stores_fp16:
            dtype = self._backbone.gradient_dtype if low_precision else torch.float32
            window = from_fp16(window, dtype)

        def on_features(layer: str, features: Tensor) -> None:
            poolings = pooling_depth(layer) - group.first
            rows, columns = tile.in_window(poolings)
            on_tile(layer, features[:, :, rows, columns], *tile.positions(poolings))

        return self._backbone.run(
            window,
            range(group.first, group.last + 1),
            self._layers_in(group) if layers is None else layers,
            on_features,
            self._pooling,
            has_map=layers is None and not group.is_end,
            saved=saved,
            low_precision=low_precision,
        )


def _ignore_tile(*_: object) -> None:
    """Do nothing: the first forward pass has passed these features on already."""


def _add_tile_gradient(
    group: StageGroup,
    tile: Tile,
    gradient_for: GradientFor,
    layer: str,
    features: Tensor,
    gradient: Tensor | None,
) -> Tensor | None:
    """Add a layer's gradient at the tile's own positions, as `backward.AddLayerGradient` asks."""
    poolings = pooling_depth(layer) - group.first
    own_positions = (slice(None), slice(None), *tile.in_window(poolings))
    tile_gradient = gradient_for(layer, features[own_positions], *tile.positions(poolings))
    if tile_gradient is None:
        return gradient
    if gradient is None:
        if tile_gradient.shape == features.shape:
            return tile_gradient
        gradient = torch.zeros_like(features)
    gradient[own_positions] += tile_gradient
    return gradient


def _add_window_gradient(window_gradient: Tensor | None, total: Tensor) -> None:
    if window_gradient is None:
        return
    if window_gradient.shape[1] != total.shape[1]:
        # A picture of lightness alone was shown to the network as red, green and blue.
        window_gradient = window_gradient.sum(dim=1, keepdim=True, dtype=total.dtype)
    total += window_gradient


def _pad_to_window(grad_output: Tensor, group: StageGroup, tile: Tile) -> Tensor:
    """Return the output gradient of the tile's window: zero but for the tile's own positions."""
    height, width = ((edge.stop - edge.start) >> group.poolings for edge in tile.window)
    shape = 1, grad_output.shape[1], height, width
    padded = _empty_map(shape, grad_output.dtype, grad_output.device).zero_()
    rows, columns = tile.in_window(group.poolings)
    padded[:, :, rows, columns] = grad_output[:, :, *tile.positions(group.poolings)]
    return padded


def _window(source: Tensor, tile: Tile) -> Tensor:
    rows, columns = tile.window
    return source[:, :, rows, columns]


def _empty_output(group: StageGroup, source: Tensor, channels: int, dtype: torch.dtype) -> Tensor:
    """Allocate a group's output map for its input."""
    height, width = (edge >> group.poolings for edge in source.shape[2:])
    return _empty_map((1, channels, height, width), dtype, source.device)


def _empty_map(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Allocate a map in the layout in which convolutions are fastest."""
    return torch.empty(shape, dtype=dtype, device=device, memory_format=torch.channels_last)
