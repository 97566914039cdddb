"""First and second moments of features about a fixed point: sums, so that parts add up."""

from typing import Any

import torch
from torch import Tensor

_BAND_POSITIONS = 16_384
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
        weights: of each position, shape (1, 1, H, W); None: 1 each. No gradient reaches either.

    Returns:
        shapes (C, 1) and (C, C), float64: added up in double precision, band by band.
    """
    first, second = _Moments.apply(features, about, weights)  # type: ignore[no-untyped-call]
    return first, second


class _Moments(torch.autograd.Function):
    """By hand, because autograd would keep a centered copy of all features for the way back."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, about: Tensor, weights: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        channels = features.shape[1]
        first = torch.zeros(channels, 1, dtype=torch.float64, device=features.device)
        second = torch.zeros(channels, channels, dtype=torch.float64, device=features.device)
        about = about.to(features)
        for rows in _bands(features):
            centered = _positions(features, rows) - about.T  # (P, C)
            weighted = centered
            if weights is not None:
                weighted = centered * _positions(weights, rows).to(features)
            first += weighted.sum(dim=0).unsqueeze(1)
            second += weighted.T @ centered
        ctx.save_for_backward(features, about, weights)
        return first, second

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        features, about, weights = ctx.saved_tensors
        first, second = (gradient.to(features) for gradient in gradients)
        both = second + second.T
        result = torch.empty_like(features)
        for rows in _bands(features):
            part = torch.addmm(first.T, _positions(features, rows) - about.T, both)  # (P, C)
            if weights is not None:
                part *= _positions(weights, rows).to(features)
            height, width = features[0, 0, rows].shape
            result[0, :, rows] = part.reshape(height, width, -1).permute(2, 0, 1)
        return result, None, None


def _bands(features: Tensor) -> list[slice]:
    height, width = features.shape[2:]
    rows = max(1, _BAND_POSITIONS // max(1, width))
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]


def _positions(features: Tensor, rows: slice) -> Tensor:
    """Some rows as (P, C)."""
    return features[0, :, rows].permute(1, 2, 0).reshape(-1, features.shape[1])
