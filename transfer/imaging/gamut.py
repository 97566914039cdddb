"""The range of colors, 0 to 1: chroma that is lost to stay within, and the penalty for leaving it.

The loss is that of the clamped image. If the image were optimized without a range and clamped at
the end, it would leave the range where the style is black or white: with stained glass by a root
mean square of 0.03, and clamping then cost a tenth of the style and 4 % of the content (512 px,
draft, two photos). Other styles do not differ.
"""

import torch
from torch import Tensor

_PENALTY_WEIGHT = 10.0
"""Weight of the mean squared distance to the range: enough to keep that at a root mean square of
0.005, too little to slow the optimization."""

_BAND_ROWS = 256
"""Rows of the image that are computed together, which limits the memory of temporary copies."""


def clamp(image: Tensor) -> Tensor:
    """Clip an image of any shape to [0, 1]."""
    return image.clamp(0.0, 1.0)


def limit_chroma(chroma: Tensor, light: Tensor) -> Tensor:
    """Reduce chroma just enough for ``light + chroma`` to stay within [0, 1].

    Args:
        chroma: differences of R, G and B to the luminance, shape (1, 3, H, W).
        light: the luminance, shape (1, 1, H, W), range [0, 1].

    Returns:
        chroma of the same hue, shape (1, 3, H, W).
    """
    headroom = torch.where(chroma > 0, 1.0 - light, light)
    # Gray pixels have no chroma to reduce.
    strength = (headroom / chroma.abs().clamp_min(1e-6)).amin(dim=1, keepdim=True).clamp_max(1.0)
    return strength * chroma


def gamut_penalty(image: Tensor, gradient: Tensor) -> Tensor:
    """Return the out-of-range penalty, and update a gradient in place.

    Args:
        image: shape (1, C, H, W), any range.
        gradient: gradient of a loss with respect to the clamped image, shape (1, C, H, W); becomes
            that of the loss plus the penalty, with respect to the image itself.

    Returns:
        the penalty to be added to the loss, a float64 scalar.
    """
    total = torch.zeros((), dtype=torch.float64, device=image.device)
    for top in range(0, image.shape[2], _BAND_ROWS):
        band = image[:, :, top : top + _BAND_ROWS]
        band_gradient = gradient[:, :, top : top + _BAND_ROWS]
        beyond = band - clamp(band)
        band_gradient.mul_(beyond == 0.0).add_(beyond, alpha=2.0 * _PENALTY_WEIGHT / image.numel())
        total += beyond.square().sum()
    return _PENALTY_WEIGHT / image.numel() * total
