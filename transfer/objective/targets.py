"""Targets of a level, computed once: the features of the photo and the statistics of styles."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from transfer.features.extractor import TiledExtractor
from transfer.features.tiling import pooling_depth
from transfer.imaging.images import check_finite
from transfer.objective.losses import active_channels
from transfer.objective.statistics import Statistics, statistics
from transfer.objective.terms import ContentTerm

_MIN_STORED_DEPTH = 2
"""Number of poolings before which tiles compute the photo's features anew: there they are cheap to
compute and large to store, up to 256 bytes a pixel at relu1_1 of vgg19, with a hundredth of the
work of all layers."""


@dataclass(frozen=True)
class Comparison:
    """A content term to build: one layer of the photo, and what its distance costs."""

    layer: str
    """Name of the layer whose features are compared."""
    penalty: Callable[[Tensor], Tensor]
    """Penalty of the `ContentTerm`."""
    weights: Tensor | None = None
    """Weights of the `ContentTerm`."""


def content_terms(
    extractor: TiledExtractor, content: Tensor, comparisons: Sequence[Comparison]
) -> list[ContentTerm]:
    """Build the content terms of a photo of the image's size, in one pass over it.

    Args:
        extractor: extractor of the comparisons' layers.
        content: the photo, shape (1, C, H, W), range [0, 1], C being 1 or 3.
        comparisons: the terms to build.

    Raises:
        NotFinite: if the photo's features hold values that are no numbers.
    """
    layers = {comparison.layer for comparison in comparisons}
    stored: dict[str, dict[tuple[int, int], Tensor]] = {layer: {} for layer in layers}
    running = [_RunningStatistics() for _ in comparisons]
    is_stored = {
        layer: extractor.is_whole or pooling_depth(layer) >= _MIN_STORED_DEPTH for layer in layers
    }

    def on_tile(layer: str, features: Tensor, rows: slice, columns: slice) -> None:
        check_finite("content features", features)
        for comparison, total in zip(comparisons, running, strict=True):
            if comparison.layer == layer:
                _add_weighted(total, features, comparison.weights, rows, columns)
        if is_stored[layer]:
            stored[layer][rows.start, columns.start] = extractor.pack(features)

    extractor.forward(content, on_tile)

    def content_features(layer: str, rows: slice, columns: slice) -> Tensor:
        if is_stored[layer]:
            return extractor.unpack(stored[layer][rows.start, columns.start])
        return extractor.recompute(content, layer, rows, columns)

    terms = []
    for comparison, total in zip(comparisons, running, strict=True):
        photo, layer = total.statistics, comparison.layer
        is_active, floor = active_channels(photo.mean.flatten(), photo.covariance.diagonal())
        terms.append(
            ContentTerm(
                layer,
                comparison.penalty,
                partial(content_features, layer),
                photo,
                is_active.nonzero().flatten(),
                floor,
                round(total.weight),
                comparison.weights,
            )
        )
    return terms


def image_statistics(
    extractor: TiledExtractor,
    image: Tensor,
    layers: Collection[str],
    weights: Mapping[str, Tensor] | None = None,
) -> dict[str, Statistics]:
    """Return the `statistics` of some layers of an image.

    Args:
        extractor: extractor of these layers.
        image: shape (1, C, H, W), range [0, 1].
        layers: names of the layers.
        weights: weight of each position by layer, shapes (1, 1, H', W'), not all 0; None: all
            alike.
    """
    running = {layer: _RunningStatistics() for layer in layers}

    def on_tile(layer: str, features: Tensor, rows: slice, columns: slice) -> None:
        layer_weights = None if weights is None else weights[layer]
        _add_weighted(running[layer], features, layer_weights, rows, columns)

    extractor.forward(image, on_tile)
    return {
        layer: Statistics(total.statistics.mean.to(image), total.statistics.covariance.to(image))
        for layer, total in running.items()
    }


def _add_weighted(
    running: "_RunningStatistics",
    features: Tensor,
    weights: Tensor | None,
    rows: slice,
    columns: slice,
) -> None:
    """Add the statistics of a tile with its part of a layer's weights."""
    if weights is None:
        running.add(statistics(features), features.shape[2] * features.shape[3])
        return
    tile_weights = weights[:, :, rows, columns]
    weight = tile_weights.sum(dtype=torch.float64).item()
    if weight > 0.0:
        running.add(statistics(features, tile_weights), weight)


class _RunningStatistics:
    """Statistics of the tiles added so far, in double precision.

    Chan, Golub & LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
    Variances" (1979): each tile is centered on its own mean, so nothing cancels.
    """

    def __init__(self) -> None:
        self.weight = 0.0
        self.statistics = Statistics(torch.zeros(()), torch.zeros(()))

    def add(self, tile: Statistics, weight: float) -> None:
        """Add the statistics of a tile; positions that are all alike weigh 1 each."""
        self.weight += weight
        share = weight / self.weight
        before = self.statistics
        difference = tile.mean.double() - before.mean
        between = difference @ difference.T if self.weight > weight else 0.0
        self.statistics = Statistics(
            before.mean + share * difference,
            (1.0 - share) * before.covariance
            + share * tile.covariance.double()
            + share * (1.0 - share) * between,
        )
