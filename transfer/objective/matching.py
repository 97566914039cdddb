"""Matching: every place of the picture takes the style's nearest feature as its target.

Mean and covariance are a quota: whatever a style has must be spent somewhere, an eye in the water
if need be. Matching has none. Each position of a layer looks for the style's position whose
features are nearest, and is drawn toward them: Kolkin, Kucera, Paris, Sykora, Shechtman &
Shakhnarovich, "Neural Neighbor Style Transfer" (arXiv 2203.13215), whose last pass, "feature
splitting", matches each layer for itself and anew at each evaluation. Here every evaluation matches
some positions, others each time. That takes the same time and memory for pictures of any size, and
nothing has to be remembered between evaluations.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from transfer.features.extractor import TiledExtractor
from transfer.features.tiling import pooling_depth
from transfer.imaging.images import check_finite
from transfer.objective.protection import pool_to_layer
from transfer.objective.terms import ValueAndGradients

_STYLE_POSITIONS = 2048
"""Positions of the style among which one evaluation looks."""
_FEWEST_MATCHED, _MOST_MATCHED = 2048, 16_384
"""Positions of a layer that one evaluation matches, at least and at most."""
_MATCHED_SHARE = 1 / 128
"""Positions that one evaluation matches, as a share of the picture's pixels: at 512 px about one in
each square of 11 px."""
_POOL_POSITIONS = 8192
"""Positions of a style whose features are kept for a layer."""
_LEAST_LEFT = 0.5
"""Share of a position that a style's mask has to leave."""
_TINY = 1e-12


def sample_positions(positions: int, count: int, generator: torch.Generator) -> Tensor:
    """Return indices of different positions, evenly spread and each as likely as any other.

    One is drawn from each of ``count`` stretches of about equal length, which begin anywhere.

    Args:
        positions: number of positions to draw from.
        count: number of positions to draw; all, if there are no more.
        generator: source of randomness, on the CPU.

    Returns:
        int64, rising, on the CPU.
    """
    if positions <= count:
        return torch.arange(positions)
    ends = torch.arange(count + 1) * positions // count
    lengths = ends[1:] - ends[:-1]
    offsets = (torch.rand(count, generator=generator, dtype=torch.float64) * lengths).long()
    shift = torch.randint(positions, (1,), generator=generator)
    drawn: Tensor = ((ends[:-1] + offsets + shift) % positions).sort().values
    return drawn


def matched_positions(height: int, width: int) -> int:
    """Return how many positions of a layer one evaluation matches in a picture of this size."""
    return min(max(_FEWEST_MATCHED, round(_MATCHED_SHARE * height * width)), _MOST_MATCHED)


class Sampler:
    """Random numbers for the matches of one evaluation, the same whenever it is repeated.

    Args:
        seed: seed of the painting.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._evaluation = 0

    def begin(self, evaluation: int) -> None:
        """Name the evaluation that comes next, by its number in the level."""
        self._evaluation = evaluation

    def generator(self, stream: int) -> torch.Generator:
        """Return a generator for this evaluation, another one for each stream."""
        # Large odd numbers apart, so that no two of them meet.
        mixed = self._seed + 1_000_003 * self._evaluation + 998_244_353 * (stream + 1)
        return torch.Generator().manual_seed(mixed % 2**63)


@dataclass(frozen=True)
class StylePool:
    """Features of one layer of a region's styles, to find matches among."""

    features: Tensor
    """Shape (C, M), in half precision where gradients are."""

    def sample(self, generator: torch.Generator) -> Tensor:
        """Return some of them, shape (C, M'), single precision."""
        indices = sample_positions(self.features.shape[1], _STYLE_POSITIONS, generator)
        return self.features[:, indices.to(self.features.device)].float()


@dataclass(frozen=True)
class MatchTerm:
    """Mean cosine distance of one layer's positions to their nearest features of the style.

    Both are centered before they are compared: the picture's on the weighted mean of its matched
    positions, the style's on that of its own. A term of the loss as in `terms`: the features of the
    matched positions, put together from all tiles, are its sum.
    """

    layer: str
    factor: float
    """Weight of the distance in the loss."""
    pool: StylePool
    height: int
    """Height of the whole layer."""
    width: int
    """Width of the whole layer."""
    matched: int
    """Number of positions that one evaluation matches, if the layer has as many."""
    weights: Tensor | None
    """Weight of each position, shape (1, 1, H, W), not negative; None: all alike."""
    sampler: Sampler
    stream: int
    """Number of the term among those with the same sampler."""

    def _positions(self) -> Tensor:
        """Return the indices of the matched positions in the whole layer, row by row."""
        generator = self.sampler.generator(2 * self.stream)
        return sample_positions(self.height * self.width, self.matched, generator)

    def sums(self, features: Tensor, rows: slice, columns: slice) -> tuple[Tensor, ...]:
        """Return the features of the matched positions, shape (C, N); zeros outside of the tile."""
        positions = self._positions()
        own, places = _find_in_tile(positions, self.width, rows, columns, features.device)
        gathered = features.new_zeros(features.shape[1], len(positions))
        gathered[:, own] = features.flatten(2)[0][:, places]
        return (gathered,)

    def backward(
        self, features: Tensor, gradients: Sequence[Tensor], rows: slice, columns: slice
    ) -> Tensor:
        """Return the gradient of each matched position in the tile; zeros at all others."""
        positions = self._positions()
        own, places = _find_in_tile(positions, self.width, rows, columns, features.device)
        gradient = torch.zeros_like(features, memory_format=torch.channels_last)
        by_position = gradient.permute(0, 2, 3, 1).view(-1, features.shape[1])
        by_position[places] = gradients[0][:, own].T.to(features.dtype)
        return gradient

    def value_and_gradients(self, sums: Sequence[Tensor]) -> ValueAndGradients:
        """Find the nearest features, and compute the weighted mean distance and its gradient."""
        (features,) = sums
        style = self.pool.sample(self.sampler.generator(2 * self.stream + 1))
        style = F.normalize(style - style.mean(dim=1, keepdim=True), dim=0)
        shares = self._shares(features)
        centered = features - (features * shares).sum(dim=1, keepdim=True)
        length = centered.square().sum(dim=0).clamp_min(_TINY).sqrt()
        direction = centered / length
        kind = self.pool.features.dtype
        similarity = direction.T.to(kind) @ style.to(kind)
        target = style[:, similarity.argmax(dim=1)]
        cosine = (direction * target).sum(dim=0)
        value = self.factor * (shares * (1.0 - cosine)).sum().double()
        gradient = (direction * cosine - target) * (self.factor * shares / length)
        # The center moves with every position.
        gradient -= gradient.sum(dim=1, keepdim=True) * shares
        return value, (gradient,)

    def _shares(self, features: Tensor) -> Tensor:
        """Return the weights of the matched positions, which sum to 1."""
        count = features.shape[1]
        if self.weights is None:
            return features.new_full((count,), 1.0 / count)
        weights = self.weights.flatten()[self._positions().to(self.weights.device)].to(features)
        return weights / weights.sum().clamp_min(_TINY)


def _find_in_tile(
    positions: Tensor, width: int, rows: slice, columns: slice, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return which positions of a layer a tile has, and their indices in the tile."""
    row, column = positions // width, positions % width
    is_inside = (row >= rows.start) & (row < rows.stop)
    is_inside &= (column >= columns.start) & (column < columns.stop)
    own = is_inside.nonzero().flatten()
    places = (row[own] - rows.start) * (columns.stop - columns.start)
    places += column[own] - columns.start
    return own.to(device), places.to(device)


def style_pools(
    make_extractor: Callable[[Collection[str], int, int], TiledExtractor],
    styles: Sequence[Tensor],
    masks: Sequence[Tensor | None],
    weights: Sequence[float] | None,
    layers: Sequence[str],
    dtype: torch.dtype,
) -> dict[str, StylePool]:
    """Return the features of each layer among which matches are found.

    Each style has a share of the pool that its weight asks for: one that counts twice as much is
    found about twice as often where both are as near.

    Args:
        make_extractor: function from layers, height and width to an extractor.
        styles: the styles at the size at which they are seen, shapes (1, C, H, W), range [0, 1].
        masks: one for each style, shape (1, 1, H', W') of any size: places to leave out are below
            0.5; None: none. Empty if no style has one.
        weights: weight of each style, positive; None: all alike.
        layers: names of the layers.
        dtype: precision of the features in the pool, in which similarities are computed, too.

    Raises:
        NotFinite: if a style's features hold values that are no numbers.
    """
    total = len(styles) if weights is None else sum(weights)
    shares = [(1.0 if weights is None else weights[k]) / total for k in range(len(styles))]
    allowed = [
        {layer: _allowed_positions(style, mask, layer) for layer in layers}
        for style, mask in zip(styles, masks or (None,) * len(styles), strict=True)
    ]
    parts: dict[str, list[Tensor]] = {layer: [] for layer in layers}
    # The pool is no matter of chance between paintings: a resumed one has to find it again.
    generator = torch.Generator().manual_seed(0)
    for style, share, in_layers in zip(styles, shares, allowed, strict=True):
        positions = {}
        for layer, those in in_layers.items():
            # A small style gives all that it has; the others keep their ratio to it.
            most = (len(each[layer]) / part for each, part in zip(allowed, shares, strict=True))
            count = max(1, round(share * min(_POOL_POSITIONS, *most)))
            positions[layer] = those[sample_positions(len(those), count, generator)]
        height, width = style.shape[2:]
        gatherer = _Gatherer(width, positions, dtype)
        make_extractor(layers, height, width).forward(style, gatherer.gather)
        for layer in layers:
            parts[layer].append(gatherer.features[layer])
    return {layer: StylePool(torch.cat(features, dim=1)) for layer, features in parts.items()}


def _allowed_positions(style: Tensor, mask: Tensor | None, layer: str) -> Tensor:
    """Return the indices of a style's positions in a layer that a mask leaves, on the CPU."""
    height, width = style.shape[2:]
    depth = pooling_depth(layer)
    count = (height >> depth) * (width >> depth)
    if mask is None:
        return torch.arange(count)
    left = (pool_to_layer(mask, layer, height, width).flatten() >= _LEAST_LEFT).nonzero().flatten()
    # A mask that leaves no position of a coarse layer leaves nothing to paint with.
    return left.cpu() if len(left) else torch.arange(count)


class _Gatherer:
    """Collects the features of a picture at some positions, tile by tile."""

    def __init__(self, width: int, positions: Mapping[str, Tensor], dtype: torch.dtype) -> None:
        self.features: dict[str, Tensor] = {}
        """Features by layer, shapes (C, M)."""
        self._width = width
        self._positions = positions
        self._dtype = dtype

    def gather(self, layer: str, features: Tensor, rows: slice, columns: slice) -> None:
        """Take the features of the positions that lie in a tile."""
        check_finite("style features", features)
        positions = self._positions[layer]
        layer_width = self._width >> pooling_depth(layer)
        own, places = _find_in_tile(positions, layer_width, rows, columns, features.device)
        if layer not in self.features:
            self.features[layer] = torch.zeros(
                features.shape[1], len(positions), dtype=self._dtype, device=features.device
            )
        self.features[layer][:, own] = features.flatten(2)[0][:, places].to(self._dtype)
