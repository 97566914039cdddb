"""What is known of a photo and of styles before anything is painted."""

from collections.abc import Callable, Collection

import torch
from torch import Tensor

from transfer.images import check_finite
from transfer.losses import live
from transfer.statistics import Statistics, statistics
from transfer.terms import ContentTerm
from transfer.tiles import halvings
from transfer.walk import Walk

_KEPT_HALVINGS = 2
"""Before so many poolings features are cheap to compute and large to keep: up to 256 bytes a
pixel at relu1_1 of vgg19, with a hundredth of the work of all layers."""


def content_term(
    walk: Walk, content: Tensor, layer: str, weighed: Callable[[Tensor], Tensor]
) -> ContentTerm:
    """The content term of a photo of the image's size.

    Args:
        walk: through this layer.
        content: the photo.
        layer: by which content is compared.
        weighed: see `ContentTerm`.

    Raises:
        NotFinite: if the photo's features hold values that are no numbers.
    """
    kept: dict[tuple[int, int], Tensor] = {}
    whole = _Merged()
    is_kept = walk.is_whole or halvings(layer) >= _KEPT_HALVINGS

    def visit(_: str, features: Tensor, rows: slice, columns: slice) -> None:
        check_finite("content features", features)
        whole.add(statistics(features), features.shape[2] * features.shape[3])
        if is_kept:
            kept[rows.start, columns.start] = walk.kept(features)

    walk.forward(content, visit)

    def known(rows: slice, columns: slice) -> Tensor:
        if is_kept:
            return walk.restored(kept[rows.start, columns.start])
        return walk.again(content, layer, rows, columns)

    found = whole.statistics
    is_live, floor = live(found.mean.flatten(), found.covariance.diagonal())
    return ContentTerm(
        layer,
        weighed,
        known,
        found,
        is_live.nonzero().flatten(),
        floor,
        whole.positions,
    )


def statistics_of(walk: Walk, image: Tensor, layers: Collection[str]) -> dict[str, Statistics]:
    """`statistics` of some layers of an image."""
    whole = {layer: _Merged() for layer in layers}

    def visit(layer: str, features: Tensor, *_: slice) -> None:
        whole[layer].add(statistics(features), features.shape[2] * features.shape[3])

    walk.forward(image, visit)
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
