"""First and second moments of features about a fixed point: sums, so that parts add up."""

import torch
import torch.nn.functional as F
from torch import Tensor

_BAND_POSITIONS = 65_536
"""Positions looked at together: their copy, centered and weighted, is all that is held besides."""


def moments(
    features: Tensor, about: Tensor, weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """``sum_p w_p (F_p - a)`` and ``sum_p w_p (F_p - a) (F_p - a)^T``.

    About a point near the mean, so that the covariance, which is their difference
    ``S2 / w - S1 S1^T / w^2``, does not cancel.

    Args:
        features: activations, shape (1, C, H, W).
        about: the point a, shape (C, 1).
        weights: of each position, shape (1, 1, H, W); None: 1 each.

    Returns:
        shapes (C, 1) and (C, C), float64: added up in double precision, band by band.
    """
    channels = features.shape[1]
    first = torch.zeros(channels, 1, dtype=torch.float64, device=features.device)
    second = torch.zeros(channels, channels, dtype=torch.float64, device=features.device)
    about = about.to(features).flatten()
    for rows in _bands(features):
        centered = (features[0, :, rows].permute(1, 2, 0) - about).reshape(-1, channels)  # (P, C)
        if weights is None:
            of_each = centered.new_ones(len(centered), 1)
            weighted = centered
        else:
            of_each = weights[0, 0, rows].reshape(-1, 1).to(features)
            weighted = centered * of_each
        first += centered.T @ of_each
        second += weighted.T @ centered
    return first, second


def pulled(
    features: Tensor, about: Tensor, slopes: tuple[Tensor, Tensor], weights: Tensor | None = None
) -> Tensor:
    """The gradient with respect to the features of something that depends on their `moments`.

    Args:
        features: as for `moments`, in any precision, which is that of the result.
        about: the same.
        slopes: derivatives with respect to both moments, shapes (C, 1) and (C, C).
        weights: as for `moments`.

    Returns:
        ``w_p (s1 + (s2 + s2^T) (F_p - a))``, of the features' shape. Not centered before the
        product, which would be a copy: in half precision it is the less exact the larger the mean
        is beside the deviation.
    """
    first, second = slopes
    both = second + second.T
    offset = (first - both @ about.to(both)).flatten()
    # A convolution of one position: a product of matrices that leaves the layout as it is.
    found = F.conv2d(features, both[..., None, None].to(features), offset.to(features))
    return found if weights is None else found * weights.to(features)


def _bands(features: Tensor) -> list[slice]:
    height, width = features.shape[2:]
    rows = max(1, _BAND_POSITIONS // max(1, width))
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]
