"""Targets of a level, computed once: the features of the photo and the statistics of styles."""

from collections.abc import Callable, Collection

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


def content_term(
    extractor: TiledExtractor, content: Tensor, layer: str, penalty: Callable[[Tensor], Tensor]
) -> ContentTerm:
    """Build the content term of a photo of the image's size.

    Args:
        extractor: extractor of this layer.
        content: the photo, shape (1, C, H, W), range [0, 1], C being 1 or 3.
        layer: name of the layer whose features are compared.
        penalty: see `ContentTerm`.

    Raises:
        NotFinite: if the photo's features hold values that are no numbers.
    """
    stored: dict[tuple[int, int], Tensor] = {}
    running = _RunningStatistics()
    is_stored = extractor.is_whole or pooling_depth(layer) >= _MIN_STORED_DEPTH

    def on_tile(_: str, features: Tensor, rows: slice, columns: slice) -> None:
        check_finite("content features", features)
        running.add(statistics(features), features.shape[2] * features.shape[3])
        if is_stored:
            stored[rows.start, columns.start] = extractor.pack(features)

    extractor.forward(content, on_tile)

    def content_features(rows: slice, columns: slice) -> Tensor:
        if is_stored:
            return extractor.unpack(stored[rows.start, columns.start])
        return extractor.recompute(content, layer, rows, columns)

    photo = running.statistics
    is_active, floor = active_channels(photo.mean.flatten(), photo.covariance.diagonal())
    return ContentTerm(
        layer,
        penalty,
        content_features,
        photo,
        is_active.nonzero().flatten(),
        floor,
        running.positions,
    )


def image_statistics(
    extractor: TiledExtractor, image: Tensor, layers: Collection[str]
) -> dict[str, Statistics]:
    """Return the `statistics` of some layers of an image, shape (1, C, H, W), by layer."""
    running = {layer: _RunningStatistics() for layer in layers}

    def on_tile(layer: str, features: Tensor, *_: slice) -> None:
        running[layer].add(statistics(features), features.shape[2] * features.shape[3])

    extractor.forward(image, on_tile)
    return {
        layer: Statistics(total.statistics.mean.to(image), total.statistics.covariance.to(image))
        for layer, total in running.items()
    }


class _RunningStatistics:
    """Statistics of the tiles added so far, in double precision.

    Chan, Golub & LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
    Variances" (1979): each tile is centered on its own mean, so nothing cancels.
    """

    def __init__(self) -> None:
        self.positions = 0
        self.statistics = Statistics(torch.zeros(()), torch.zeros(()))

    def add(self, tile: Statistics, positions: int) -> None:
        """Add the statistics of a tile of so many positions."""
        self.positions += positions
        share = positions / self.positions
        before = self.statistics
        difference = tile.mean.double() - before.mean
        between = difference @ difference.T if self.positions > positions else 0.0
        self.statistics = Statistics(
            before.mean + share * difference,
            (1.0 - share) * before.covariance
            + share * tile.covariance.double()
            + share * (1.0 - share) * between,
        )
