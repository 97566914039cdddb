"""What is known of a photo and of styles before anything is painted."""

from collections.abc import Callable, Collection

import torch
from torch import Tensor

from transfer.features.extractor import TiledExtractor
from transfer.features.tiling import pooling_depth
from transfer.imaging.images import check_finite
from transfer.objective.losses import active_channels
from transfer.objective.statistics import Statistics, statistics
from transfer.objective.terms import ContentTerm

_KEPT_HALVINGS = 2
"""Before so many poolings features are cheap to compute and large to keep: up to 256 bytes a
pixel at relu1_1 of vgg19, with a hundredth of the work of all layers."""


def content_term(
    extractor: TiledExtractor, content: Tensor, layer: str, penalty: Callable[[Tensor], Tensor]
) -> ContentTerm:
    """The content term of a photo of the image's size.

    Args:
        extractor: through this layer.
        content: the photo.
        layer: by which content is compared.
        penalty: see `ContentTerm`.

    Raises:
        NotFinite: if the photo's features hold values that are no numbers.
    """
    kept: dict[tuple[int, int], Tensor] = {}
    whole = _Merged()
    is_kept = extractor.is_whole or pooling_depth(layer) >= _KEPT_HALVINGS

    def on_tile(_: str, features: Tensor, rows: slice, columns: slice) -> None:
        check_finite("content features", features)
        whole.add(statistics(features), features.shape[2] * features.shape[3])
        if is_kept:
            kept[rows.start, columns.start] = extractor.pack(features)

    extractor.forward(content, on_tile)

    def known(rows: slice, columns: slice) -> Tensor:
        if is_kept:
            return extractor.unpack(kept[rows.start, columns.start])
        return extractor.recompute(content, layer, rows, columns)

    found = whole.statistics
    is_live, floor = active_channels(found.mean.flatten(), found.covariance.diagonal())
    return ContentTerm(
        layer,
        penalty,
        known,
        found,
        is_live.nonzero().flatten(),
        floor,
        whole.positions,
    )


def image_statistics(
    extractor: TiledExtractor, image: Tensor, layers: Collection[str]
) -> dict[str, Statistics]:
    """`statistics` of some layers of an image."""
    whole = {layer: _Merged() for layer in layers}

    def on_tile(layer: str, features: Tensor, *_: slice) -> None:
        whole[layer].add(statistics(features), features.shape[2] * features.shape[3])

    extractor.forward(image, on_tile)
    return {
        layer: Statistics(merged.statistics.mean.to(image), merged.statistics.covariance.to(image))
        for layer, merged in whole.items()
    }


class _Merged:
    """Statistics of parts, put together.

    Chan, Golub & LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
    Variances" (1979): each part is centered on its own mean, so nothing cancels.
    """

    def __init__(self) -> None:
        self.positions = 0
        self.statistics = Statistics(torch.zeros(()), torch.zeros(()))

    def add(self, part: Statistics, positions: int) -> None:
        """Take in the statistics of so many more positions."""
        self.positions += positions
        share = positions / self.positions
        before = self.statistics
        apart = part.mean.double() - before.mean
        self.statistics = Statistics(
            before.mean + share * apart,
            (1.0 - share) * before.covariance
            + share * part.covariance.double()
            + share * (1.0 - share) * (apart @ apart.T if self.positions > positions else 0.0),
        )
