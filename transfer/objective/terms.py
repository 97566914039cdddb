"""Terms of the loss as functions of sums over positions, so that a picture may come in tiles.

A term of a whole picture is a function of a few sums: style depends on the moments of the features,
content on their products with the photo's. Sums add up over tiles; the function may be any that can
be differentiated, by hand or by autograd (`autograd_value`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from transfer.objective.losses import StyleTarget, content_distance, style_distance, style_gradients
from transfer.objective.statistics import Statistics, moments, moments_backward

ValueAndGradients = tuple[Tensor, tuple[Tensor, ...]]
"""A term's value, shape (), and its gradients with respect to the accumulated sums."""


def autograd_value(
    loss: Callable[[Sequence[Tensor]], Tensor], sums: Sequence[Tensor]
) -> ValueAndGradients:
    """Compute a function of some sums and its gradients by autograd."""
    with torch.enable_grad():
        leaves = [total.detach().requires_grad_() for total in sums]
        value = loss(leaves)
        gradients = torch.autograd.grad(value, leaves, materialize_grads=True)
    return value.detach(), gradients


class Term(Protocol):
    """One addend of the loss."""

    @property
    def layer(self) -> str:
        """Name of the layer whose features the term reads."""

    def sums(self, features: Tensor, rows: slice, columns: slice) -> tuple[Tensor, ...]:
        """Compute the term's sums over the positions of one tile, in the precision to add them in.

        Args:
            features: activations of the tile, shape (1, C, H, W).
            rows: rows of the tile in the whole layer.
            columns: columns of the tile in the whole layer.
        """

    def value_and_gradients(self, sums: Sequence[Tensor]) -> ValueAndGradients:
        """Compute the addend and its gradients from the sums over all positions, in float64."""

    def backward(
        self, features: Tensor, gradients: Sequence[Tensor], rows: slice, columns: slice
    ) -> Tensor:
        """Return the gradient of ``sum(sums * gradients)`` with respect to a tile's features.

        Args:
            features: as for `sums`, in any precision, which is that of the result.
            gradients: derivatives of the loss with respect to the sums.
            rows: as for `sums`.
            columns: as for `sums`.
        """


@dataclass(frozen=True)
class StyleTerm:
    """Weighted `style_distance` of one layer and one region."""

    layer: str
    factor: float
    """Weight of the distance in the loss."""
    target: StyleTarget
    positions: int
    """Number of positions of the whole layer."""
    weights: Tensor | None
    """Weight of each position, shape (1, 1, H, W), summing to 1; None: all alike. Weights confine a
    style to a region, as the guided Gram matrix does of Gatys, Ecker, Bethge, Hertzmann &
    Shechtman, "Controlling Perceptual Factors in Neural Style Transfer" (CVPR 2017, section 4)."""

    def sums(self, features: Tensor, rows: slice, columns: slice) -> tuple[Tensor, ...]:
        """Compute the moments about the style's mean, shapes (C, 1) and (C, C)."""
        weights = None if self.weights is None else self.weights[:, :, rows, columns]
        first, second = moments(features, self.target.statistics.mean, weights)
        return first.double(), second.double()

    def backward(
        self, features: Tensor, gradients: Sequence[Tensor], rows: slice, columns: slice
    ) -> Tensor:
        """Return the gradient of the moments; see `statistics.moments_backward`."""
        weights = None if self.weights is None else self.weights[:, :, rows, columns]
        first, second = gradients
        return moments_backward(features, self.target.statistics.mean, (first, second), weights)

    def value_and_gradients(self, sums: Sequence[Tensor]) -> ValueAndGradients:
        """Compute `style_distance` of the statistics that follow from the moments."""
        first, second = sums
        total_weight = self.positions if self.weights is None else 1
        offset = first / total_weight
        actual = Statistics(
            self.target.statistics.mean + offset, second / total_weight - offset @ offset.T
        )
        gradients = style_gradients(actual, self.target)
        # The covariance depends on the first moment, too.
        mean_gradient = gradients.mean - 2.0 * gradients.covariance @ offset
        scale = self.factor / total_weight
        loss = self.factor * style_distance(actual, self.target)
        return loss, (scale * mean_gradient, scale * gradients.covariance)


@dataclass(frozen=True)
class ContentTerm:
    """Penalty for the `content_distance` of one layer."""

    layer: str
    penalty: Callable[[Tensor], Tensor]
    """Function from the distance to the addend of the loss, such as a `ContentPenalty`."""
    content_features: Callable[[slice, slice], Tensor]
    """Function that returns the photo's features at some rows and columns of the layer, stored or
    computed anew."""
    statistics: Statistics
    """Statistics of the photo's features in the whole layer."""
    active: Tensor
    """Indices of the channels that vary in the photo, shape (C',)."""
    floor: Tensor
    """Variance below which a channel says little; see `losses.active_channels`."""
    positions: int
    """Number of positions of the whole layer."""
    weights: Tensor | None = None
    """Weight of each position, shape (1, 1, H, W), summing to 1; None: all alike."""

    def sums(self, features: Tensor, rows: slice, columns: slice) -> tuple[Tensor, ...]:
        """Compute ``sum G``, ``sum G^2`` and ``sum G H`` by channel, weighted, shapes (C,).

        G and H are the image's and the photo's features, both minus the photo's mean: the image's
        own mean is not known before its last tile.
        """
        mean = self.statistics.mean.to(features).reshape(1, -1, 1, 1)
        centered = features - mean
        content = self.content_features(rows, columns) - mean
        weighted = centered
        if self.weights is not None:
            weighted = centered * self.weights[:, :, rows, columns]
        # One after the other: of vgg19 each takes as much as the features of the whole layer.
        factors = (None, centered, content)
        products = (weighted if factor is None else weighted * factor for factor in factors)
        # In double precision: the variance is a small difference if the image's mean is far off.
        return tuple(product.sum(dim=(0, 2, 3), dtype=torch.float64) for product in products)

    def backward(
        self, features: Tensor, gradients: Sequence[Tensor], rows: slice, columns: slice
    ) -> Tensor:
        """Return ``w (s1 + 2 s2 G + s3 H)``, s being ``gradients``, and G and H as in `sums`."""
        linear, square, shared = (gradient.reshape(1, -1, 1, 1) for gradient in gradients)
        mean = self.statistics.mean.reshape(1, -1, 1, 1)
        offset = linear - (2.0 * square + shared) * mean
        content = self.content_features(rows, columns).to(features)
        gradient = torch.addcmul(offset.to(features), features, (2.0 * square).to(features))
        gradient.addcmul_(content, shared.to(features))
        if self.weights is None:
            return gradient
        return gradient.mul_(self.weights[:, :, rows, columns].to(features))

    def value_and_gradients(self, sums: Sequence[Tensor]) -> ValueAndGradients:
        """Compute the penalty for the `content_distance` of the active channels."""
        return autograd_value(self._loss, sums)

    def _loss(self, sums: Sequence[Tensor]) -> Tensor:
        total_weight = self.positions if self.weights is None else 1
        mean, square, product = (total / total_weight for total in sums)
        variance = (square - mean.square()).clamp_min(0.0)
        content_variance, active = self.statistics.covariance.diagonal(), self.active
        if not len(active):
            return self.penalty(mean.sum() * 0.0)
        return self.penalty(
            content_distance(
                product[active], variance[active], content_variance[active], self.floor
            )
        )
