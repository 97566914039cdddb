"""Gaussian blur, and what it takes away."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_REACH = 4
"""Radius of the kernel in standard deviations; 0.006 % of the Gaussian lies beyond."""


def blur(maps: Tensor, sigma_px: float) -> Tensor:
    """Blur maps by a Gaussian, with reflected borders.

    Args:
        maps: shape (1, C, H, W), both edges longer than four standard deviations.
        sigma_px: standard deviation.
    """
    radius = math.ceil(_REACH * sigma_px)
    offsets = torch.arange(-radius, radius + 1, dtype=maps.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma_px) ** 2)
    kernel = (kernel / kernel.sum()).expand(maps.shape[1], 1, -1)
    padded = F.pad(maps, (radius, radius, radius, radius), mode="reflect")
    along = F.conv2d(padded, kernel[:, :, None, :], groups=maps.shape[1])
    return F.conv2d(along, kernel[:, :, :, None], groups=maps.shape[1])


def high_pass(maps: Tensor, sigma_px: float) -> Tensor:
    """Return the maps less their blur."""
    return maps - blur(maps, sigma_px)
