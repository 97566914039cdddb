"""The terms of the loss as functions of sums over positions, so that a picture may come in parts.

What a term says of a whole picture is a function of a few sums: the style's of the moments of the
features, the content's of products with the photo's. Sums add up over tiles; the function may be
any that can be derived, by hand or by autograd (`autograd_value`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from transfer.objective.losses import StyleTarget, content_distance, style_distance, style_gradients
from transfer.objective.statistics import Statistics, moments, moments_backward

ValueAndGradients = tuple[Tensor, tuple[Tensor, ...]]
"""An addend of the loss, and by how much it changes with each of the sums it is told from."""


def autograd_value(
    loss: Callable[[Sequence[Tensor]], Tensor], sums: Sequence[Tensor]
) -> ValueAndGradients:
    """What a term tells, by autograd."""
    with torch.enable_grad():
        leaves = [one.detach().requires_grad_() for one in sums]
        value = loss(leaves)
        gradients = torch.autograd.grad(value, leaves, materialize_grads=True)
    return value.detach(), gradients


class Term(Protocol):
    """One addend of the loss."""

    @property
    def layer(self) -> str:
        """Whose features it looks at."""

    def sums(self, features: Tensor, rows: slice, columns: slice) -> tuple[Tensor, ...]:
        """Its sums over some positions of the layer.

        Args:
            features: their activations, shape (1, C, H, W).
            rows: where they lie in the whole picture's layer.
            columns: the same.
        """

    def value_and_gradients(self, sums: Sequence[Tensor]) -> ValueAndGradients:
        """The addend, from its sums over all positions, in float64."""

    def backward(
        self, features: Tensor, gradients: Sequence[Tensor], rows: slice, columns: slice
    ) -> Tensor:
        """The gradient with respect to features of ``sum(sums * gradients)``.

        Args:
            features: as for `sums`, in any precision, which is that of the result.
            gradients: by which the loss changes with each of the sums.
            rows: as for `sums`.
            columns: the same.
        """


@dataclass(frozen=True)
class StyleTerm:
    """`style_distance` of one layer and one region."""

    layer: str
    factor: float
    target: StyleTarget
    positions: int
    """Of the whole layer."""
    weights: Tensor | None
    """Of each position, shape (1, 1, H, W), summing to 1; None: all alike. They confine a style to
    a region, as the guided Gram matrix does of Gatys, Ecker, Bethge, Hertzmann & Shechtman,
    "Controlling Perceptual Factors in Neural Style Transfer" (CVPR 2017, section 4)."""

    def sums(self, features: Tensor, rows: slice, columns: slice) -> tuple[Tensor, ...]:
        """Moments about the style's mean."""
        weights = None if self.weights is None else self.weights[:, :, rows, columns]
        return moments(features, self.target.statistics.mean, weights)

    def backward(
        self, features: Tensor, gradients: Sequence[Tensor], rows: slice, columns: slice
    ) -> Tensor:
        """See `moments.moments_backward`."""
        weights = None if self.weights is None else self.weights[:, :, rows, columns]
        first, second = gradients
        return moments_backward(features, self.target.statistics.mean, (first, second), weights)

    def value_and_gradients(self, sums: Sequence[Tensor]) -> ValueAndGradients:
        """`style_distance` of the statistics that follow from the moments."""
        first, second = sums
        count = self.positions if self.weights is None else 1
        apart = first / count
        found = Statistics(self.target.statistics.mean + apart, second / count - apart @ apart.T)
        gradients = style_gradients(found, self.target)
        # The covariance changes with the first moment, too.
        mean = gradients.mean - 2.0 * gradients.covariance @ apart
        scale = self.factor / count
        loss = self.factor * style_distance(found, self.target)
        return loss, (scale * mean, scale * gradients.covariance)


@dataclass(frozen=True)
class ContentTerm:
    """`content_distance` of one layer."""

    layer: str
    penalty: Callable[[Tensor], Tensor]
    """The addend, from the content's loss."""
    content: Callable[[slice, slice], Tensor]
    """The photo's features at some rows and columns of the layer: kept, or computed anew."""
    statistics: Statistics
    """Of the photo's features in the whole layer."""
    live: Tensor
    """Numbers of the channels that vary in the photo."""
    floor: Tensor
    """See `losses.active_channels`."""
    positions: int
    """Of the whole layer."""

    def sums(self, features: Tensor, rows: slice, columns: slice) -> tuple[Tensor, ...]:
        """``sum G``, ``sum G^2`` and ``sum G H`` by channel, shape (C,).

        G and H are the image's and the photo's features, both about the photo's mean: the image's
        own is not known before all tiles were seen.
        """
        mean = self.statistics.mean.to(features).reshape(1, -1, 1, 1)
        found = features - mean
        content = self.content(rows, columns) - mean
        products = found, found.square(), found * content
        # In double precision: the variance is a small difference if the image's mean is far off.
        return tuple(product.sum(dim=(0, 2, 3), dtype=torch.float64) for product in products)

    def backward(
        self, features: Tensor, gradients: Sequence[Tensor], rows: slice, columns: slice
    ) -> Tensor:
        """``s1 + 2 s2 G + s3 H``."""
        own, square, shared = (slope.reshape(1, -1, 1, 1) for slope in gradients)
        mean = self.statistics.mean.reshape(1, -1, 1, 1)
        offset = own - (2.0 * square + shared) * mean
        content = self.content(rows, columns).to(features)
        found = torch.addcmul(offset.to(features), features, (2.0 * square).to(features))
        return found.addcmul_(content, shared.to(features))

    def value_and_gradients(self, sums: Sequence[Tensor]) -> ValueAndGradients:
        """`content_distance` of the live channels, weighed."""
        return autograd_value(self._loss, sums)

    def _loss(self, sums: Sequence[Tensor]) -> Tensor:
        mean, square, product = (one / self.positions for one in sums)
        own = (square - mean.square()).clamp_min(0.0)
        variance, live = self.statistics.covariance.diagonal(), self.live
        if not len(live):
            return self.penalty(mean.sum() * 0.0)
        return self.penalty(content_distance(product[live], own[live], variance[live], self.floor))
