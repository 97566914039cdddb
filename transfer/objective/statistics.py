"""Mean and covariance of features over their positions, and the moments they follow from."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from transfer.errors import ShapeError

_BAND_POSITIONS = 65_536
"""Positions that `moments` takes at a time, to copy no more than these."""


@dataclass(frozen=True)
class Statistics:
    """Mean, shape (C, 1), and centered covariance, shape (C, C), of one layer."""

    mean: Tensor
    covariance: Tensor


def statistics(features: Tensor, weights: Tensor | None = None) -> Statistics:
    """Compute the mean and centered covariance of one feature layer over its positions.

    The Gram matrix of the paper (Gatys et al., CVPR 2016, equation 3) mixes the two: its
    entries are dominated by the product of the means, and colors came out gray and brushwork
    weak. Apart, each is weighed by its own size.

    Values that are no numbers pass through: a step of the optimization that went wrong is taken
    back, not refused. Targets refuse them.

    Args:
        features: activations, shape (1, C, H, W), any range.
        weights: weight of each position, shape (1, 1, H, W), not all 0; None: all alike.

    Returns:
        the statistics, in the dtype and on the device of ``features``; the covariance is symmetric
        positive semi-definite.

    Raises:
        ShapeError: if ``features`` is not (1, C, H, W).
    """
    if features.ndim != 4 or features.shape[0] != 1:
        raise ShapeError("features", "(1, C, H, W)", tuple(features.shape))
    positions = features.flatten(2)[0]  # (C, H*W)
    if weights is not None:
        shares = (weights / weights.sum()).flatten(2)[0].to(features)  # (1, H*W)
        mean = positions @ shares.T
        deviations = (positions - mean) * shares.sqrt()
        return Statistics(mean, deviations @ deviations.T)
    # Centered before the product: E[xx] - E[x]E[x] cancels in single precision.
    mean = positions.mean(dim=1, keepdim=True)
    centered = positions - mean
    return Statistics(mean, centered @ centered.T / positions.shape[1])


def average(styles: Sequence[Statistics], weights: Sequence[float] | None = None) -> Statistics:
    """Return the weighted mean of the statistics of several styles.

    Args:
        styles: statistics of the same layer, one per style.
        weights: weight of each style, not negative and not all 0; only their ratios count; None:
            all alike.
    """
    means = torch.stack([style.mean for style in styles])
    covariances = torch.stack([style.covariance for style in styles])
    if weights is None:
        return Statistics(means.mean(dim=0), covariances.mean(dim=0))
    shares = means.new_tensor([weight / sum(weights) for weight in weights])
    return Statistics(
        torch.einsum("k,kcd->cd", shares, means), torch.einsum("k,kcd->cd", shares, covariances)
    )


def moments(
    features: Tensor, center: Tensor, weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Compute ``sum_p w_p (F_p - a)`` and ``sum_p w_p (F_p - a) (F_p - a)^T`` over positions p.

    The point a should lie near the mean, so that the covariance, the difference
    ``S2 / w - S1 S1^T / w^2``, does not cancel.

    Args:
        features: activations, shape (1, C, H, W).
        center: the point a, shape (C, 1).
        weights: weight of each position, shape (1, 1, H, W); None: 1 each.

    Returns:
        first and second moment, shapes (C, 1) and (C, C), float64: added up in double precision,
        band by band.
    """
    channels = features.shape[1]
    first = torch.zeros(channels, 1, dtype=torch.float64, device=features.device)
    second = torch.zeros(channels, channels, dtype=torch.float64, device=features.device)
    center = center.to(features).flatten()
    for rows in _bands(features):
        centered = (features[0, :, rows].permute(1, 2, 0) - center).reshape(-1, channels)  # (P, C)
        if weights is None:
            row_weights = centered.new_ones(len(centered), 1)
            weighted = centered
        else:
            row_weights = weights[0, 0, rows].reshape(-1, 1).to(features)
            weighted = centered * row_weights
        first += centered.T @ row_weights
        second += weighted.T @ centered
    return first, second


def moments_backward(
    features: Tensor,
    center: Tensor,
    gradients: tuple[Tensor, Tensor],
    weights: Tensor | None = None,
) -> Tensor:
    """Return the gradient with respect to the features of a function of their `moments`.

    Args:
        features: as for `moments`, in any precision, which is that of the result.
        center: as for `moments`.
        gradients: derivatives with respect to both moments, shapes (C, 1) and (C, C).
        weights: as for `moments`.

    Returns:
        ``w_p (s1 + (s2 + s2^T) (F_p - a))``, of the shape of the features. They are not centered
        before the product, which would take a copy; so in half precision the result is the less
        exact the larger the mean is beside the deviation.
    """
    first, second = gradients
    both = second + second.T
    offset = (first - both @ center.to(both)).flatten()
    # A convolution of one position is a matrix product that leaves the layout as it is.
    gradient = F.conv2d(features, both[..., None, None].to(features), offset.to(features))
    return gradient if weights is None else gradient * weights.to(features)


def _bands(features: Tensor) -> list[slice]:
    height, width = features.shape[2:]
    rows = max(1, _BAND_POSITIONS // max(1, width))
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]
